"""Paired measuring: contenders take turns on the same inputs, so that drift hits all alike."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.spread import Spread, median_interval, quartiles

# Threads of the contender before spin for some milliseconds once they have nothing to do.
SETTLE_SECONDS = 0.03
WARM_UPS = 3

Advance = Callable[[int], None]


class Contender(Protocol):
    """Something that embeds parts of a list of inputs it holds."""

    @property
    def name(self) -> str: ...

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        """Wall seconds of embedding each part."""
        ...


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds per input of one contender."""

    name: str
    turns: tuple[tuple[float, ...], ...]
    """For each turn, each part's."""

    @property
    def medians(self) -> list[float]:
        """The median of each turn."""
        return [float(np.median(turn)) for turn in self.turns]

    @property
    def overall(self) -> Spread:
        """Median and quartiles of all."""
        return quartiles([seconds for turn in self.turns for seconds in turn])

    @property
    def best(self) -> float:
        """The fastest turn's median: of a limit, what the machine can do."""
        return min(self.medians)

    def percentile(self, rank: float) -> float:
        """Such as 90, of all."""
        return float(np.percentile([seconds for turn in self.turns for seconds in turn], rank))

    def times_of(self, other: "Timings") -> Spread:
        """How many times the other's seconds these are: the median over the turns."""
        pairs = zip(self.medians, other.medians, strict=True)
        return median_interval([mine / theirs for mine, theirs in pairs])


def interleave(
    contenders: Sequence[Contender],
    turns: Sequence[Sequence[slice]],
    *,
    warm_up: slice,
    every_turn: bool = True,
    limits: Sequence[Contender] = (),
    pause: float = 0.0,
    advance: Advance = lambda steps: None,
) -> list[Timings]:
    """Time all contenders on every turn's parts, one after the other.

    Every other turn goes backwards, A B B A ..., so that who comes later in a turn does not pay
    for a machine that grows slower.

    Args:
        contenders: never two at work at once.
        turns: parts of the inputs, the same for all.
        warm_up: embedded untimed at first.
        every_turn: some times at first, and once at the start of each turn.
        limits: take turns with the others; what has its best turn counted needs no warming up.
        pause: seconds of rest before each part.
        advance: told of every contender's turn.
    """
    for contender in contenders:
        contender.seconds([warm_up] * (WARM_UPS if every_turn else 1))
    everyone = [(each, every_turn) for each in contenders] + [(each, False) for each in limits]
    collected: dict[str, list[tuple[float, ...]]] = {each.name: [] for each, _ in everyone}
    for number, parts in enumerate(turns):
        for contender, warms_up in everyone if number % 2 == 0 else reversed(everyone):
            time.sleep(SETTLE_SECONDS)
            if warms_up:
                contender.seconds([warm_up])
            seconds = _seconds(contender, parts, pause)
            collected[contender.name].append(
                tuple(
                    total / (part.stop - part.start)
                    for total, part in zip(seconds, parts, strict=True)
                )
            )
            advance(1)
    return [Timings(name, tuple(turns)) for name, turns in collected.items()]


def _seconds(contender: Contender, parts: Sequence[slice], pause: float) -> list[float]:
    if not pause:
        return contender.seconds(parts)
    seconds = []
    for part in parts:
        time.sleep(pause)
        seconds += contender.seconds([part])
    return seconds
