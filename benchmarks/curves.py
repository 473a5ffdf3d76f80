"""Lines of a chart: how long a call takes as its inputs grow."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.contest import Standing, Work
from benchmarks.results import Series
from benchmarks.spread import quartiles

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
    spreads = {
        at: quartiles((1000 * (part.stop - part.start) * calls[:, place, 1:]).ravel().tolist())
        for place, (at, part) in enumerate(parts.items())
    }
    return Series.through(chart, standing.timings.name, x, "ms", spreads)
