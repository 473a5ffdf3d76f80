"""Where the milliseconds of one image go: its parts as stacked bars, and the whole call."""

import math
from collections.abc import Mapping, Sequence

from benchmarks.images import SIDES
from benchmarks.report.curves import title_of
from benchmarks.report.figure import Figure
from benchmarks.report.grid import Grid
from benchmarks.report.stack import Whole, stacked_bars
from benchmarks.report.words import quantity, rounded
from benchmarks.results import Row, Series

CHART = "image-cost"
"""The series whose sum is a whole."""
NAMES: Mapping[float, str] = {width * height / 1e6: f"{width}x{height}" for width, height in SIDES}
"""By megapixels, as the series have them."""


def image_cost(series: Sequence[Series], rows: Sequence[Row]) -> Figure:
    """A bar for each size, its parts' medians one after the other, and the whole call's median."""
    title, whose = title_of(CHART), _whose(series[0], rows)
    note = f"{title.note} {_told(whose)}".strip()
    measured = {row.work: row for row in rows if row.subject == f"{whose}, in all"}
    sizes = sorted({x for each in series for x, _ in each.points})
    bars = [_whole(size, series, measured) for size in sizes]
    return Figure(title.name, note, stacked_bars(bars, series[0].y), _data(bars, series))


def _whole(size: float, series: Sequence[Series], measured: Mapping[str, Row]) -> Whole:
    name = NAMES.get(size, f"{series[0].x}: {rounded(size)}")
    parts = {each.subject: y for each in series for x, y in each.points if x == size}
    row = measured.get(f"cost of a {name} JPEG")
    added = f"{rounded(sum(parts.values()))} {series[0].y}"
    return Whole(name, parts, quantity(row.figure.median, row.unit) if row else added)


def _told(whose: str) -> str:
    return f"Drawn is {whose}; the number is the whole call." if whose else ""


def _data(bars: Sequence[Whole], series: Sequence[Series]) -> Grid:
    stages = [each.subject for each in series]
    rows = [
        [bar.name, *[rounded(bar.parts[s]) if s in bar.parts else "" for s in stages], bar.total]
        for bar in bars
    ]
    return Grid(f"{title_of(CHART).name}: {series[0].y}", ("JPEG", *stages, "in all"), {"": rows})


def _whose(part: Series, rows: Sequence[Row]) -> str:
    """The contender that was drawn: the one whose rows have the series' figures."""
    figures = [y for _, y in part.points]
    for row in rows:
        subject, _, stage = row.subject.rpartition(", ")
        if stage == part.subject and any(math.isclose(row.figure.median, y) for y in figures):
            return subject
    return ""
