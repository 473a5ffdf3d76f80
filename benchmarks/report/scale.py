"""Where a value lies on an axis, and which values the axis names."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

STEPS = (1, 2, 5)
WIDE = 12
"""A range of so many times is drawn with a logarithmic axis."""
FEW = 8
"""So many measured values are named on their axis, instead of round ones,"""
APART = 0.06
"""if their names do not meet: no two are closer than this share of the axis."""


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    high: float
    log: bool
    ticks: Sequence[float]

    def share(self, value: float) -> float:
        """How far along the axis: 0 at `low`, 1 at `high`."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def scale_through(values: Sequence[float]) -> Scale:
    """The axis of what was chosen, such as batch sizes: its few values are the ticks."""
    chosen = sorted(set(values))
    if _is_wide(chosen) and len(chosen) <= FEW:
        scale = Scale(chosen[0], chosen[-1], True, chosen)
        places = [scale.share(value) for value in chosen]
        if all(after - before >= APART for before, after in pairwise(places)):
            return scale
    return scale_over(values)


def scale_over(values: Sequence[float]) -> Scale:
    """The axis of what was measured, between round values.

    Logarithmic where the values differ much; else from zero, unless they are so close together
    that all would lie at the top.
    """
    low, high = min(values), max(values)
    if _is_wide((low, high)):
        return _logarithmic(low, high)
    if 0 < low < high / 2 or low == high:
        low = min(low, 0)
    return _linear(low, high)


def scale_from_zero(values: Sequence[float]) -> Scale:
    """The axis of what is to be seen in its true proportion, such as memory: never logarithmic.

    Its ticks are few, since values as long as 100,000 calls must have room on a phone.
    """
    return _linear(min(0, *values), max(0, *values), steps=4)


def _linear(low: float, high: float, steps: int = 5) -> Scale:
    """Between the round values around both, in about so many steps."""
    # Values apart by a float's last digits alone have no tick between them.
    step = _round_step(max((high - low) / steps or 1, 1e-9 * max(abs(low), abs(high))))
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = [number * step for number in range(first, max(last, first + 1) + 1)]
    return Scale(ticks[0], ticks[-1], False, ticks)


def _is_wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) >= WIDE


def _logarithmic(low: float, high: float) -> Scale:
    """From the last round value at or below `low` to the first from `high` on."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    rounds = [step * 10.0**exponent for exponent in exponents for step in STEPS]
    start = max(index for index, each in enumerate(rounds) if each <= low)
    end = min(index for index, each in enumerate(rounds) if each >= high)
    ticks = rounds[start : end + 1]
    scale = Scale(ticks[0], ticks[-1], True, ticks)
    return scale if len(ticks) <= FEW else replace(scale, ticks=_ends_and_powers(scale))


def _ends_and_powers(scale: Scale) -> list[float]:
    """The powers of ten that leave room for the names of both ends, and these."""
    exponents = range(math.ceil(math.log10(scale.low)), math.floor(math.log10(scale.high)) + 1)
    powers = [10.0**exponent for exponent in exponents]
    between = [each for each in powers if APART <= scale.share(each) <= 1 - APART]
    return [scale.low, *between, scale.high]


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (*STEPS, 10) if step * power >= least * (1 - 1e-9))
