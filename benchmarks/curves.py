"""Lines of a chart: how long a call takes as its inputs grow."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.contest import Standing, Work
from benchmarks.results import Series

CALLS = 5
"""In a row for each x in every turn; the first warms up, and is dropped."""


def curve_work(name: str, parts: Mapping[float, slice], turns: int) -> Work:
    """Some calls for each x, in every turn."""
    chosen = [part for part in parts.values() for _ in range(CALLS)]
    return Work(name, [chosen] * turns, warm_up=chosen[0])


def curves(
    chart: str, x: str, parts: Mapping[float, slice], standings: Sequence[Standing]
) -> list[Series]:
    """Each contender's milliseconds of a warm call, for the work of the same parts."""
    return [_line(each, chart, x, parts) for each in standings]


def _line(standing: Standing, chart: str, x: str, parts: Mapping[float, slice]) -> Series:
    turns = standing.timings.turns
    calls = np.reshape(turns, (len(turns), len(parts), CALLS))
    per_input = np.percentile(calls[:, :, 1:], (25, 50, 75), axis=(0, 2))
    sizes = [part.stop - part.start for part in parts.values()]
    low, median, high = (1000 * np.multiply(per_input, sizes)).tolist()
    points = list(zip(parts, median, strict=True))
    return Series(chart, standing.timings.name, x, "ms", points, low, high)
