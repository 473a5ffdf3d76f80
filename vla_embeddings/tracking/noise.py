"""How far two figures may lie apart without meaning anything.

A run's turns tell its own noise, but not that of another day: another run of the same code meets
another clock rate, other neighbours on the host, another layout of memory. That noise is told by
the contenders that are the same in both runs, peers and limits, and by what others took of the
processors; docs/adr/0012 has the measurements. All of it is in logarithms of time, which add up.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

LEAST = math.log(1.05)
"""Differences below 5 % are never called a change."""
UNKNOWN = math.log(1.15)
"""Of works without enough contenders that are the same in both runs."""
FEW = math.log(3)
"""Beside it, of a time with too few turns for their interval to tell anything: an order of
magnitude is seen, and no bad day."""
SEVERAL = 2
"""Runs a side whose turns hold what one run differs from the next by: more is not unknown."""
ENOUGH = 4
"""Contenders that are: with fewer, the noise of one would be taken for the machine's."""
FALSE_ALARM = 0.01
"""The chance that a comparison calls anything a change, were all noise normal; shared among its
figures (Bonferroni)."""
TO_DEVIATIONS = 1.4826
"""From the median absolute deviation of a normal distribution to its standard deviation."""
CONFIDENCE = 0.99
NORMAL_QUANTILE = 2.576
"""Of that confidence, two-sided."""
MOST_TURNS = 20
"""Where every call counts as a turn, the luckiest one is no figure: they are taken together."""


def costs_of(samples: Sequence[float], *, more_is_better: bool) -> list[float]:
    """Logarithms of the time a unit of work takes.

    Args:
        samples: in the order of time. More than `MOST_TURNS` become medians of as many blocks.
        more_is_better: they are rates.
    """
    logs = np.log(samples) * (-1 if more_is_better else 1)
    if len(logs) > MOST_TURNS:
        logs = np.array([np.median(block) for block in np.array_split(logs, MOST_TURNS)])
    return [float(value) for value in logs]


@dataclass(frozen=True, slots=True)
class Move:
    """How far costs moved."""

    value: float
    doubt: float
    """How far its 99 % confidence interval reaches back to where there is no move."""


def enough(new: Sequence[float], old: Sequence[float]) -> bool:
    """Whether so many turns can differ beyond chance at all: five a side can, four cannot.

    The rank-sum test is surest where all new ones lie beyond all old ones, for which the chance
    is one in so many ways of choosing them.
    """
    return 2 / math.comb(len(new) + len(old), len(new)) <= 1 - CONFIDENCE


def move_of(new: Sequence[float], old: Sequence[float], machine: float) -> Move:
    """How much larger the new costs are, less the machine's own move; whatever the distribution.

    Hodges and Lehmann's estimate, the median over all pairs, within the interval of the rank-sum
    test in its normal approximation (Hollander, Wolfe and Chicken, Nonparametric Statistical
    Methods, 4.2 and 4.3).
    """
    pairs = np.sort(np.subtract.outer(new, old).ravel()) - machine
    value = float(np.median(pairs))
    deviation = math.sqrt(len(pairs) * (len(new) + len(old) + 1) / 12)
    outside = math.floor(len(pairs) / 2 - NORMAL_QUANTILE * deviation)
    cut = min(max(outside, 0), (len(pairs) - 1) // 2)
    return Move(value, float(value - pairs[cut] if value > 0 else pairs[-1 - cut] - value))


def share_move(new: Sequence[float], old: Sequence[float]) -> Move:
    """How much larger the new share of successes is, each a try's 1 or 0.

    Agresti and Caffo's interval, which adds a success and a failure to either side and so holds
    near 0 and 1, too (The American Statistician 54, 2000).
    """
    (share, variance), (before, its_variance) = map(_adjusted, (new, old))
    return Move(share - before, NORMAL_QUANTILE * math.sqrt(variance + its_variance))


def _adjusted(tries: Sequence[float]) -> tuple[float, float]:
    count = len(tries) + 2
    share = (sum(tries) + 1) / count
    return share, share * (1 - share) / count


def crowding(share: float) -> float:
    """What others who took this share of the processors can have added to a time."""
    return -math.log1p(-min(share, 0.99))


def tolerance(deviations: Iterable[float], figures: int) -> float:
    """How far a figure may move by itself.

    Args:
        deviations: of the contenders that are the same in both runs: their moves, less that of
            the machine.
        figures: how many are compared.
    """
    sizes = np.abs(list(deviations))
    if len(sizes) < ENOUGH:
        return UNKNOWN
    deviation = TO_DEVIATIONS * float(np.median(sizes))
    return max(LEAST, NormalDist().inv_cdf(1 - FALSE_ALARM / 2 / figures) * deviation)
