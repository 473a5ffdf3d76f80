"""Results as tables: on the terminal, and as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.machine import Machine
from benchmarks.results import Findings, Result, Row, Unit, Verdict
from benchmarks.spread import Spread

DIGITS: Mapping[Unit, str] = {"ms": ".2f", "/s": ",.1f", "x": ".2f", "s": ".2f", "MB": ",.0f"}
COLOURS = {"pass": "[green]pass[/]", "FAIL": "[bold red]FAIL[/]"}


@dataclass(frozen=True, slots=True)
class Grid:
    """A table's cells as text: a column of words, then figures, in sections under headings."""

    title: str
    columns: Sequence[str]
    sections: Mapping[str, Sequence[Sequence[str]]]

    def for_terminal(self) -> Table:
        """With the verdicts in colour."""
        table = Table(title=self.title, title_justify="left", title_style="bold")
        for number, name in enumerate(self.columns):
            table.add_column(name, justify="right" if number else "left")
        for heading, rows in self.sections.items():
            table.add_section()
            table.add_row(f"[bold]{heading}[/]")
            for cells in rows:
                table.add_row(*[COLOURS.get(cell, cell) for cell in cells])
        return table

    def for_markdown(self) -> str:
        """A heading and a table."""
        width = len(self.columns)
        lines: list[Sequence[str]] = [self.columns, ["---"] + ["---:"] * (width - 1)]
        for heading, rows in self.sections.items():
            lines += [[f"**{heading}**"] + [""] * (width - 1), *rows]
        body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        return f"### {self.title}\n\n{body}\n"


def grids(findings: Findings) -> Iterator[Grid]:
    """The figures, then the verdicts, then who was missing."""
    yield _figures(findings.rows)
    if findings.verdicts:
        columns = ("ours / against", "figure", "range", "to reach", "verdict")
        cells = [(verdict.work, _verdict_cells(verdict)) for verdict in findings.verdicts]
        yield Grid("Verdicts", columns, _sections(cells))
    if findings.absences:
        reasons = [(absence.contender, [absence.reason]) for absence in findings.absences]
        yield Grid("Not measured", ("reason",), _sections(reasons))


def markdown(results: Sequence[Result]) -> str:
    """The page of all suites' last results."""
    parts = [
        "# Benchmarks\n",
        "Written by `python -m benchmarks`. Figures are medians; the range is that of the "
        "quartiles, for a ratio the median's 99 % confidence interval over the turns. All "
        "contenders of a table take turns on the same inputs with the same weights, as many "
        "threads as there are CPUs, and never two at once. Cosine is the lowest to our fp32 "
        "vectors.\n",
    ]
    for result in results:
        weights = ", ".join(f"{model} {kind}" for model, kind in result.weights.items())
        parts += [
            f"## {result.suite}\n",
            f"{result.size.capitalize()} size, {result.finished}, {result.inputs}; {weights}.\n",
            f"{describe(result.machine)}\n",
            *[grid.for_markdown() for grid in grids(result.findings)],
        ]
    return "\n".join(parts)


def describe(machine: Machine) -> str:
    """A machine in one line."""
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return (
        f"{machine.cpu}, {machine.cpus} of {machine.cpus_online} CPUs "
        f"({', '.join(machine.flags)}), load {machine.load:.1f} before the start, "
        f"{machine.system}, Python {machine.python}, {packages}, commit {machine.commit}."
    )


def _figures(rows: Sequence[Row]) -> Grid:
    """Only the columns that some row fills."""
    columns = {
        "contender": [row.subject for row in rows],
        "median": [f"{_number(row.figure.median, row.unit)} {row.unit}".strip() for row in rows],
        "range": [_range(row.figure, row.unit) for row in rows],
        "p90": [_number(row.p90, row.unit) for row in rows],
        "document": [_number(row.document, row.unit) for row in rows],
        "cosine": ["" if row.quality is None else f"{row.quality:.5f}" for row in rows],
    }
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    works = [row.work for row in rows]
    lines = [list(cells) for cells in zip(*filled.values(), strict=True)]
    return Grid("Figures", list(filled), _sections(list(zip(works, lines, strict=True))))


def _sections(rows: Sequence[tuple[str, list[str]]]) -> dict[str, list[list[str]]]:
    """Rows under the headings they come with."""
    sections: dict[str, list[list[str]]] = {heading: [] for heading, _ in rows}
    for heading, cells in rows:
        sections[heading].append(cells)
    return sections


def _verdict_cells(verdict: Verdict) -> list[str]:
    sign = "≤" if verdict.at_most else "≥"
    return [
        " / ".join(filter(None, (verdict.subject, verdict.against))),
        f"{_number(verdict.figure.median, verdict.unit)} {verdict.unit}".strip(),
        _range(verdict.figure, verdict.unit),
        f"{sign} {verdict.bound:.4g} {verdict.unit}".strip(),
        "pass" if verdict.passed else "FAIL",
    ]


def _number(value: float | None, unit: Unit) -> str:
    return "" if value is None else format(value, DIGITS.get(unit, ".4f"))


def _range(spread: Spread, unit: Unit) -> str:
    if spread.low == spread.high:
        return ""
    return f"{_number(spread.low, unit)}–{_number(spread.high, unit)}"
