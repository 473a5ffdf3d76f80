"""What a suite found, as tables."""

from collections.abc import Iterator, Sequence

from benchmarks.report.curves import by_chart, series_grid
from benchmarks.report.grid import Grid, sections
from benchmarks.report.verdicts import verdicts
from benchmarks.report.weights import cosine, figure_of
from benchmarks.report.words import kept, number, share, spread_range
from benchmarks.results import Absence, Result, Row


def grids(result: Result) -> Iterator[Grid]:
    """The figures, the charts' data, the verdicts, and who was missing."""
    findings = result.findings
    if findings.rows:
        yield figures(findings.rows, result)
    for series in by_chart(findings.series).values():
        yield series_grid(series)
    if findings.verdicts:
        yield verdicts([result])
    if findings.absences:
        yield not_measured([("", absence) for absence in findings.absences])


def figures(rows: Sequence[Row], result: Result) -> Grid:
    """Only the columns that some row fills."""
    columns = {
        "contender": [row.subject for row in rows],
        "median": [figure_of(row, result) for row in rows],
        "range": [spread_range(row.figure, row.unit) for row in rows],
        "p90": [number(row.p90, row.unit) for row in rows],
        "document": [number(row.document, row.unit) for row in rows],
        "beside the limit": [share(row) for row in rows],
        "cosine": [cosine(row, result) for row in rows],
        "neighbours kept": [kept(row) for row in rows],
        "Spearman": [number(row.spearman, "") for row in rows],
        "recall": [number(row.recall, "") for row in rows],
    }
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    works = [row.work for row in rows]
    lines = [list(cells) for cells in zip(*filled.values(), strict=True)]
    return Grid("Figures", list(filled), sections(list(zip(works, lines, strict=True))))


def not_measured(absences: Sequence[tuple[str, Absence]]) -> Grid:
    """Who could not run and why, under headings."""
    cells = [(heading, [each.contender, each.reason]) for heading, each in absences]
    return Grid("Not measured", ("contender", "reason"), sections(cells), words=2)
