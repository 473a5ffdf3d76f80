"""Lines of a chart: how long a call takes as its inputs grow."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.contest import Standing, Work
from benchmarks.results import Series


def curve_work(name: str, parts: Mapping[float, slice], turns: int, calls: int) -> Work:
    """Several calls in a row for each x, in every turn; the first warms up, and is dropped."""
    chosen = [part for part in parts.values() for _ in range(calls)]
    return Work(name, [chosen] * turns, warm_up=chosen[0])


def curves(
    chart: str, x: str, parts: Mapping[float, slice], standings: Sequence[Standing]
) -> list[Series]:
    """Each contender's median milliseconds of a warm call, for the work of the same parts."""
    return [Series(chart, each.timings.name, x, "ms", _points(each, parts)) for each in standings]


def _points(standing: Standing, parts: Mapping[float, slice]) -> list[tuple[float, float]]:
    turns = standing.timings.turns
    calls = np.reshape(turns, (len(turns), len(parts), -1))
    per_input = np.median(calls[:, :, 1:], axis=(0, 2))
    sizes = [part.stop - part.start for part in parts.values()]
    return [
        (x, float(1000 * size * seconds))
        for x, size, seconds in zip(parts, sizes, per_input, strict=True)
    ]
