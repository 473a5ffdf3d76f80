"""Which figures a suite's findings make: a work as bars, series as lines or stacks."""

import math
from collections.abc import Iterator, Sequence

from benchmarks.report.bars import bar_chart
from benchmarks.report.curves import by_chart, series_grid, title_of
from benchmarks.report.figure import Figure
from benchmarks.report.lines import line_chart
from benchmarks.report.stack import stacked_bars
from benchmarks.report.tables import figures
from benchmarks.report.words import capitalized, rounded
from benchmarks.results import Findings, Row, Series

STACKED = ("image-cost",)
"""Charts whose series are parts of a whole."""


def charts(findings: Findings) -> Iterator[Figure]:
    """One for each work with figures to compare, then one for each chart's series."""
    for rows in _compared(findings):
        yield _of_rows(rows)
    for series in by_chart(findings.series).values():
        yield _of_series(series)


def without_chart(findings: Findings) -> list[Row]:
    """Those that neither a chart nor a verdict shows."""
    judged = {(each.work, each.subject) for each in findings.verdicts if each.against is None}
    drawn = {(row.work, row.unit) for rows in _compared(findings) for row in rows}
    return [
        row
        for row in findings.rows
        if (row.work, row.unit) not in drawn and (row.work, row.subject) not in judged
    ]


def _compared(findings: Findings) -> list[list[Row]]:
    """Works for bars: amounts, of others besides us."""
    return [rows for rows in _by_work(findings.rows) if _comparable(rows)]


def _by_work(rows: Sequence[Row]) -> list[list[Row]]:
    """Those of a work in one unit."""
    works: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        works.setdefault((row.work, row.unit), []).append(row)
    return list(works.values())


def _comparable(rows: Sequence[Row]) -> bool:
    """Shares and cosines would look all alike as bars."""
    measured = all(math.isfinite(row.figure.median) for row in rows)
    ours = [row.subject.startswith("ours") for row in rows]
    return any(ours) and not all(ours) and rows[0].unit != "" and measured


def _of_rows(rows: Sequence[Row]) -> Figure:
    better = "more is better" if rows[0].unit == "/s" else "less is better"
    note = f"Median, with the middle half of the measurements; {better}."
    if rows[0].document is not None:
        note += " The upright line is the platform document's figure."
    if any(row.limit is not None for row in rows):
        note += " What the machine can do at best has a colour of its own."
    return Figure(capitalized(rows[0].work), note, bar_chart(rows), figures(rows))


def _of_series(series: Sequence[Series]) -> Figure:
    title = title_of(series[0].chart)
    stacked = series[0].chart in STACKED
    drawing = stacked_bars(_wholes(series), series[0].y) if stacked else line_chart(series, title)
    return Figure(title.name, title.note, drawing, series_grid(series))


def _wholes(series: Sequence[Series]) -> dict[str, dict[str, float]]:
    """For each x the parts that the series are."""
    parts = {each.subject: dict(each.points) for each in series}
    chosen = sorted({x for points in parts.values() for x in points})
    return {
        f"{series[0].x}: {rounded(x)}": {
            name: points[x] for name, points in parts.items() if x in points
        }
        for x in chosen
    }
