"""Which figures a suite's findings make: a work as bars, series as lines or stacks."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.report.bar_chart import bar_chart
from benchmarks.report.bars import Bars, bars_of
from benchmarks.report.curves import by_chart, series_grid, title_of
from benchmarks.report.figure import Figure, facts
from benchmarks.report.image_cost import CHART as IMAGE_COST
from benchmarks.report.image_cost import image_cost
from benchmarks.report.lines import line_chart
from benchmarks.report.markup import joined
from benchmarks.report.tables import figures
from benchmarks.report.words import capitalized, quantity
from benchmarks.results import Findings, Result, Row, Series, Unit

DIFFERENCE = "added "
"""Begins the name of what is no contender, but the difference between two."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A work that bars can show."""

    drawn: list[Row]
    beside: list[Row]
    """What else is known of it, in other units or as a difference."""


def comparisons(result: Result) -> Iterator[Figure]:
    """One for each work with figures to compare."""
    for compared in _compared(result.findings):
        yield _of_rows(compared, result)


def curves(findings: Findings) -> Iterator[Figure]:
    """One for each chart's series."""
    for name, series in by_chart(findings.series).items():
        yield image_cost(series, findings.rows) if name == IMAGE_COST else _of_series(series)


def without_chart(findings: Findings) -> list[Row]:
    """Those that neither a chart nor a verdict shows."""
    judged = {(each.work, each.subject) for each in findings.verdicts if each.against is None}
    shown = {each.drawn[0].work for each in _compared(findings)}
    return [
        row
        for row in findings.rows
        if row.work not in shown and (row.work, row.subject) not in judged
    ]


def _compared(findings: Findings) -> list[Compared]:
    """Works for bars: amounts, of others besides us."""
    works: dict[str, list[Row]] = {}
    for row in findings.rows:
        works.setdefault(row.work, []).append(row)
    return [found for rows in works.values() if (found := _split(rows)) is not None]


def _split(rows: Sequence[Row]) -> Compared | None:
    """The first unit whose figures can be compared, and the rest; None where there is none."""
    for unit in dict.fromkeys(row.unit for row in rows):
        drawn = [row for row in rows if row.unit == unit and not _is_difference(row)]
        if _comparable(drawn):
            return Compared(drawn, [row for row in rows if row not in drawn])
    return None


def _is_difference(row: Row) -> bool:
    return row.subject.startswith(DIFFERENCE)


def _comparable(rows: Sequence[Row]) -> bool:
    """Shares and cosines would look all alike as bars."""
    measured = all(math.isfinite(row.figure.median) for row in rows)
    ours = [row.whose == "ours" for row in rows]
    return any(ours) and not all(ours) and rows[0].unit != "" and measured


def _of_rows(compared: Compared, result: Result) -> Figure:
    work, bars = compared.drawn[0].work, bars_of(compared.drawn, result)
    beside = {row.subject: quantity(row.figure.median, row.unit) for row in compared.beside}
    drawing = joined(bar_chart(bars), facts(beside) if beside else "")
    data = figures([*compared.drawn, *compared.beside], result)
    return Figure(capitalized(work), _note(bars, compared.drawn[0].unit), drawing, data)


def _note(bars: Bars, unit: Unit) -> str:
    better = "more is better" if unit == "/s" else "less is better"
    sentences = [f"Median, with the middle half of the measurements; {better}."]
    if bars.has("document"):
        sentences.append("Red is the platform document's figure.")
    if bars.has("limit"):
        sentences.append("Ochre is what the machine can do at best.")
    if any(map(bars.beyond, bars.bars)):
        sentences.append("Arrows point off the scale.")
    return " ".join(sentences)


def _of_series(series: Sequence[Series]) -> Figure:
    title = title_of(series[0].chart)
    between = "Upright lines are the middle half of what was measured." if series[0].low else ""
    note = f"{title.note} {between}".strip()
    return Figure(title.name, note, line_chart(series, title), series_grid(series))
