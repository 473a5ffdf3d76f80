"""Medians and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

CONFIDENCE = 0.99
ENOUGH_FOR_P99 = 500
"""Samples, of which the five slowest lie beyond it; of a hundred it would be the slowest one."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure and the range it was seen in, all in one unit."""

    low: float
    median: float
    high: float


def exactly(value: float) -> Spread:
    """Of what was seen once."""
    return Spread(value, value, value)


def quartiles(values: Sequence[float]) -> Spread:
    """The median between the first and the third quartile."""
    return Spread(*map(float, np.percentile(values, (25, 50, 75))))


def tail_rank(samples: int) -> int:
    """The percentile that so many tell something of: 99, or of few 90."""
    return 99 if samples >= ENOUGH_FOR_P99 else 90


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Spread:
    """The median within its confidence interval, whatever the distribution.

    The interval of the sign test: between the k-th smallest and the k-th largest value, with the
    largest k that keeps the confidence (Conover, Practical Nonparametric Statistics, 3.2). With
    too few values for any k it is their whole range.
    """
    ordered = sorted(values)
    count, outside, tail = len(ordered), 0, 1 / 2 ** len(ordered)
    while tail <= (1 - confidence) / 2:
        outside += 1
        tail += comb(count, outside) / 2**count
    cut = max(outside - 1, 0)
    return Spread(ordered[cut], float(np.median(ordered)), ordered[-1 - cut])
