"""The series of a chart: what the chart is called, and its data as a table."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress

from benchmarks.report.contenders import is_ours
from benchmarks.report.grid import Grid
from benchmarks.report.words import capitalized, rounded
from benchmarks.results import Series


@dataclass(frozen=True, slots=True)
class Title:
    """A chart's name, and what it shows in a sentence."""

    name: str
    note: str
    even: bool = False
    """Whether x counts what went on evenly, such as calls one after the other."""
    from_zero: bool = False
    """Whether y is to be seen in its true proportion."""
    label: str = "point"
    """What the labels of its points are values of."""


TITLES: Mapping[str, Title] = {
    "latency-tokens": Title(
        "Latency against tokens", "One instruction at a time, by its length with special tokens."
    ),
    "latency-batch": Title(
        "Latency against batch size", "One call with so many instructions; lower is better."
    ),
    "recall-ef-search": Title(
        "Recall against latency",
        "A point for each hnsw.ef_search, whose value stands beside it; up and to the left is "
        "better.",
        label="hnsw.ef_search",
    ),
    "concurrency-throughput": Title(
        "Throughput against callers", "Each caller waits for its vector before it asks again."
    ),
    "concurrency-latency": Title(
        "Waiting against callers",
        "The slowest tenth (p90) or hundredth (p99) of calls beside so many others takes longer.",
    ),
    "memory-calls": Title(
        "Memory over calls",
        "Resident memory, with texts of mixed lengths and images of mixed sizes, one by one, in "
        "bulk and from many callers.",
        even=True,
        from_zero=True,
    ),
    "image-cost": Title(
        "What one image costs", "Where the milliseconds of one call with a JPEG go."
    ),
    "cache-faults": Title(
        "The cache when Redis fails",
        "One look-up after another: from the first that meets the fault until the breaker opens, "
        "and past Redis from then on; beside a Redis that is well and has the vector.",
        even=True,
    ),
}
"""Of the charts known by name; any other is called by its id."""


def title_of(chart: str) -> Title:
    """The chart's title, or one made from its id."""
    return TITLES.get(chart) or Title(capitalized(chart.replace("-", " ")), "")


def by_chart(series: Sequence[Series]) -> dict[str, list[Series]]:
    """The series of each chart, ours first, with the points that can be drawn."""
    charts: dict[str, list[Series]] = {}
    for each in sorted(series, key=lambda each: not is_ours(each.subject)):
        drawn = [all(map(math.isfinite, point)) for point in each.points]
        if any(drawn):
            kept = replace(
                each,
                points=list(compress(each.points, drawn)),
                labels=list(compress(each.labels, drawn)),
                low=list(compress(each.low, drawn)),
                high=list(compress(each.high, drawn)),
            )
            charts.setdefault(each.chart, []).append(kept)
    return charts


def labelled(series: Series) -> Iterator[tuple[str, tuple[float, float]]]:
    """Its points with their labels, which are empty where it has none."""
    yield from zip(series.labels or [""] * len(series.points), series.points, strict=True)


def series_grid(series: Sequence[Series]) -> Grid:
    """A row for each x and a column for each subject where they share their x; else x and y.

    Labelled points have their labels before them.
    """
    known = title_of(series[0].chart)
    title = f"{known.name}: {series[0].y}"
    if any(each.labels for each in series):
        return Grid(
            title,
            (known.label, series[0].x, series[0].y),
            {each.subject: _labelled(each) for each in series},
        )
    chosen = sorted({x for each in series for x, _ in each.points})
    if all(len(each.points) > len(chosen) / 2 for each in series):
        columns = [series[0].x, *[each.subject for each in series]]
        found = [dict(each.points) for each in series]
        rows = [[rounded(x), *[_cell(points, x) for points in found]] for x in chosen]
        return Grid(title, columns, {"": rows})
    sections = {
        each.subject: [[rounded(x), rounded(y)] for x, y in each.points] for each in series
    }
    return Grid(title, (series[0].x, series[0].y), sections)


def _labelled(series: Series) -> list[list[str]]:
    return [[label, rounded(x), rounded(y)] for label, (x, y) in labelled(series)]


def _cell(points: Mapping[float, float], x: float) -> str:
    return rounded(points[x]) if x in points else ""
