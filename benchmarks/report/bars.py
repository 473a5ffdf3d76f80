"""One work's figures as bars, the best first."""

from collections.abc import Sequence

from benchmarks.report.markup import Attributes, Markup, percent, tag
from benchmarks.report.words import quantity, share, spread_range
from benchmarks.results import Row

HEIGHT = 10
LEAST = 0.004
"""Share of the width that shows there is a bar at all."""


def bar_chart(rows: Sequence[Row]) -> Markup:
    """A bar for each row, from zero, with its range; and the document's figure as a line."""
    top = max(max(row.figure.high, row.figure.median, row.document or 0) for row in rows) or 1
    faster_first = sorted(rows, key=lambda row: row.figure.median, reverse=rows[0].unit == "/s")
    limits = {row.limit for row in rows}
    items = [_item(row, top, limit=row.subject in limits) for row in faster_first]
    return tag("ol", {"class": "bars"}, *items)


def _item(row: Row, top: float, *, limit: bool) -> Markup:
    value = quantity(row.figure.median, row.unit)
    return tag(
        "li",
        {"class": "limit" if limit else "ours" if row.subject.startswith("ours") else "peer"},
        tag("span", {"class": "name"}, row.subject),
        tag("span", {"class": "value"}, value),
        tag("svg", {"height": HEIGHT, "aria-hidden": "true"}, *_marks(row, top)),
    )


def _marks(row: Row, top: float) -> list[Markup]:
    attributes: Attributes = {
        "class": "bar",
        "width": percent(max(row.figure.median / top, LEAST)),
        "height": HEIGHT,
        "rx": 2,
        "data-label": _label(row),
    }
    marks = [tag("rect", attributes)]
    if row.figure.low != row.figure.high:
        ends = {"x1": percent(max(row.figure.low / top, 0)), "x2": percent(row.figure.high / top)}
        middle = HEIGHT / 2
        marks.append(tag("line", {"class": "range", **ends, "y1": middle, "y2": middle}))
    if row.document is not None:
        place = percent(row.document / top)
        marks.append(
            tag("line", {"class": "document", "x1": place, "x2": place, "y1": 0, "y2": HEIGHT})
        )
    return marks


def _label(row: Row) -> str:
    lines = [f"{row.subject}: {quantity(row.figure.median, row.unit)}"]
    if spread := spread_range(row.figure, row.unit):
        lines.append(f"range {spread} {row.unit}".strip())
    if row.p90 is not None:
        lines.append(f"p90 {quantity(row.p90, row.unit)}")
    if row.share is not None:
        lines.append(share(row))
    if row.quality is not None:
        lines.append(f"cosine {row.quality:.5f}")
    return "\n".join(lines)
