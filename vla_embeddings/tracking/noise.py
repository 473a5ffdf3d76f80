"""How far two figures may lie apart without meaning anything.

A run's turns tell its own noise, but not that of another day: another run of the same code meets
another clock rate, other neighbours on the host, another layout of memory. The contenders that
are the same in both runs, peers and limits, tell that noise: how they moved together is the
machine, and how they moved apart is what a figure moves by itself.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 0.05
"""Differences below 5 % are never called a change."""
UNKNOWN = 0.15
"""Where too few contenders are the same in both runs to tell."""
ENOUGH = 4
DEVIATIONS = 3.0
TO_DEVIATIONS = 1.4826
"""From the median absolute deviation of a normal distribution to its standard deviation."""
NORMAL_QUANTILE = 2.576
"""Of a confidence of 99 %, two-sided."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio and its 99 % confidence interval."""

    low: float
    value: float
    high: float

    def over(self, divisor: float) -> "Ratio":
        """The same with another denominator."""
        return Ratio(self.low / divisor, self.value / divisor, self.high / divisor)


def ratio_of(new: Sequence[float], old: Sequence[float]) -> Ratio:
    """How many times the old values the new ones are, whatever their distribution.

    Hodges and Lehmann's estimate on logarithms, the median over all pairs, within the interval
    of the rank-sum test in its normal approximation (Hollander, Wolfe and Chicken, Nonparametric
    Statistical Methods, 4.2 and 4.3). Of too few values for that it is the whole range.
    """
    logs = np.sort(np.subtract.outer(np.log(new), np.log(old)).ravel())
    pairs, ranks = len(new) * len(old), len(new) + len(old) + 1
    outside = pairs / 2 - NORMAL_QUANTILE * math.sqrt(pairs * ranks / 12)
    cut = min(max(math.floor(outside), 0), (pairs - 1) // 2)
    low, high = np.exp(logs[cut]), np.exp(logs[-1 - cut])
    return Ratio(float(low), float(np.exp(np.median(logs))), float(high))


def tolerance(deviations: Iterable[float]) -> float:
    """The share by which a figure may move by itself.

    Args:
        deviations: of the contenders that are the same in both runs: logarithms of their ratio,
            to that of the machine.
    """
    sizes = np.abs(list(deviations))
    if len(sizes) < ENOUGH:
        return UNKNOWN
    deviation = TO_DEVIATIONS * float(np.median(sizes))
    return max(LEAST, math.expm1(DEVIATIONS * deviation))
