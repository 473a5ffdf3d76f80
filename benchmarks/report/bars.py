"""One work's figures beside each other, the best first, and the scale they are drawn to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.report.contenders import limits, role_in
from benchmarks.report.weights import cosine
from benchmarks.report.words import kept, number, quantity, share, spread_range
from benchmarks.results import Result, Role, Row, Unit
from benchmarks.spread import Spread, exactly

DOCUMENT = "platform document"


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure."""

    name: str
    kind: Role | Literal["document"]
    figure: Spread
    text: str
    label: str
    """What it says when pointed at."""
    note: str = ""
    """What it is worth, and how near to the machine's limit."""


@dataclass(frozen=True, slots=True)
class Bars:
    """All figures of a work."""

    bars: Sequence[Bar]
    top: float
    """Where the scale ends: the longest bar is a contender's, and a limit may lie beyond it."""

    def has(self, kind: Role | Literal["document"]) -> bool:
        """Whether one is of this kind."""
        return any(bar.kind == kind for bar in self.bars)

    def beyond(self, bar: Bar) -> bool:
        """Whether it is off the scale."""
        return bar.figure.median > self.top

    @property
    def document(self) -> float | None:
        """The document's figure where it is on the scale."""
        found = [bar for bar in self.bars if bar.kind == "document" and not self.beyond(bar)]
        return found[0].figure.median if found else None


def bars_of(rows: Sequence[Row], result: Result) -> Bars:
    """A bar for each row, in one unit, and one for what the platform's document says."""
    machine, unit = limits(result.findings), rows[0].unit
    bars = [_bar(row, role_in(row, machine), result) for row in rows]
    top = max(max(bar.figure.high, bar.figure.median) for bar in bars if bar.kind != "limit")
    said = {row.document for row in rows if row.document is not None}
    bars += [_document(figure, unit) for figure in said]
    bars.sort(key=lambda bar: bar.figure.median, reverse=unit == "/s")
    return Bars(bars, top or 1)


def _bar(row: Row, kind: Role, result: Result) -> Bar:
    text = quantity(row.figure.median, row.unit)
    note = " · ".join(_worth(row, result))
    return Bar(row.subject, kind, row.figure, text, _label(row, text, result), note)


def _document(figure: float, unit: Unit) -> Bar:
    text = f"~{figure:g} {unit}"
    return Bar(DOCUMENT, "document", exactly(figure), text, f"{DOCUMENT}: {text}")


def _label(row: Row, text: str, result: Result) -> str:
    lines = [f"{row.subject}: {text}"]
    if spread := spread_range(row.figure, row.unit):
        lines.append(f"range {spread} {row.unit}".strip())
    if row.p90 is not None:
        lines.append(f"p90 {quantity(row.p90, row.unit)}")
    return "\n".join([*lines, *_worth(row, result)])


def _worth(row: Row, result: Result) -> Iterator[str]:
    """Its qualities and its share of the limit, in words; those that it has."""
    if row.quality is not None:
        yield f"cosine {cosine(row, result)}"
    if row.neighbours is not None:
        yield f"{kept(row)} of neighbours"
    if row.spearman is not None:
        yield f"Spearman {number(row.spearman, '')}"
    if row.recall is not None:
        yield f"recall {number(row.recall, '')}"
    if row.share is not None:
        yield share(row)
