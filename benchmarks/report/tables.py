"""What a suite found, as tables."""

from collections.abc import Iterator, Sequence

from benchmarks.report.curves import by_chart, series_grid
from benchmarks.report.grid import Grid, sections
from benchmarks.report.words import number, quantity, share, spread_range
from benchmarks.results import Absence, Findings, Row, Verdict


def grids(findings: Findings) -> Iterator[Grid]:
    """The figures, the charts' data, the verdicts, and who was missing."""
    if findings.rows:
        yield figures(findings.rows)
    for series in by_chart(findings.series).values():
        yield series_grid(series)
    if findings.verdicts:
        yield verdicts(findings.verdicts)
    if findings.absences:
        yield not_measured([("", absence) for absence in findings.absences])


def figures(rows: Sequence[Row]) -> Grid:
    """Only the columns that some row fills."""
    columns = {
        "contender": [row.subject for row in rows],
        "median": [quantity(row.figure.median, row.unit) for row in rows],
        "range": [spread_range(row.figure, row.unit) for row in rows],
        "p90": [number(row.p90, row.unit) for row in rows],
        "document": [number(row.document, row.unit) for row in rows],
        "of the limit": [share(row) for row in rows],
        "cosine": ["" if row.quality is None else f"{row.quality:.5f}" for row in rows],
        "neighbours kept": [number(row.neighbours, "") for row in rows],
        "Spearman": [number(row.spearman, "") for row in rows],
        "recall": [number(row.recall, "") for row in rows],
    }
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    works = [row.work for row in rows]
    lines = [list(cells) for cells in zip(*filled.values(), strict=True)]
    return Grid("Figures", list(filled), sections(list(zip(works, lines, strict=True))))


def verdicts(found: Sequence[Verdict]) -> Grid:
    """Every figure beside its bound."""
    columns = ("ours / against", "verdict", "figure", "to reach", "range")
    cells = [(verdict.work, _verdict_cells(verdict)) for verdict in found]
    return Grid("Verdicts", columns, sections(cells))


def not_measured(absences: Sequence[tuple[str, Absence]]) -> Grid:
    """Who could not run and why, under headings."""
    cells = [(heading, [each.contender, each.reason]) for heading, each in absences]
    return Grid("Not measured", ("contender", "reason"), sections(cells), words=2)


def _verdict_cells(verdict: Verdict) -> list[str]:
    sign = "≤" if verdict.at_most else "≥"
    return [
        " / ".join(filter(None, (verdict.subject, verdict.against))),
        "pass" if verdict.passed else "FAIL",
        quantity(verdict.figure.median, verdict.unit),
        f"{sign} {verdict.bound:.4g} {verdict.unit}".strip(),
        spread_range(verdict.figure, verdict.unit),
    ]
