"""Bars from zero, with their ranges; what lies off the scale as arrows at its end."""

from collections.abc import Iterator

from benchmarks.report.bars import Bar, Bars
from benchmarks.report.markup import Attributes, Markup, percent, tag
from benchmarks.spread import Spread

HEIGHT = 10
LEAST = 0.004
"""Share of the width that shows there is a bar at all."""
ARROWS = f"M-16 0-9 {HEIGHT / 2:g}-16 {HEIGHT}ZM-8 0-1 {HEIGHT / 2:g}-8 {HEIGHT}Z"
"""To the left of the origin, which is the end of the scale."""


def bar_chart(bars: Bars) -> Markup:
    """All of them, and the document's figure as a line across those on whose scale it is."""
    return tag("ol", {"class": "bars"}, *[_item(bar, bars) for bar in bars.bars])


def _item(bar: Bar, bars: Bars) -> Markup:
    marks = [_arrows(bar)] if bars.beyond(bar) else _marks(bar, bars)
    return tag(
        "li",
        {"class": bar.kind},
        tag("span", {"class": "name"}, bar.name),
        tag("span", {"class": "value"}, bar.text),
        tag("span", {"class": "soft"}, bar.note) if bar.note else "",
        tag("svg", {"height": HEIGHT, "aria-hidden": "true"}, *marks),
    )


def _marks(bar: Bar, bars: Bars) -> Iterator[Markup]:
    if bar.kind != "document":
        yield _rectangle(bar, bars.top)
    if bar.figure.low != bar.figure.high:
        yield _range(bar.figure, bars.top)
    if bars.document is not None:
        yield _line(bar, bars.document / bars.top)


def _rectangle(bar: Bar, top: float) -> Markup:
    attributes: Attributes = {
        "class": "bar",
        "width": percent(max(bar.figure.median / top, LEAST)),
        "height": HEIGHT,
        "rx": 2,
        "data-label": bar.label,
    }
    return tag("rect", attributes)


def _range(figure: Spread, top: float) -> Markup:
    low, high = max(figure.low / top, 0), min(figure.high / top, 1)
    place: Attributes = {"x": percent(low), "width": percent(max(high - low, 0))}
    return tag("rect", {"class": "over range", **place, "y": HEIGHT / 2 - 1, "height": 2})


def _line(bar: Bar, share: float) -> Markup:
    """The document's, which says what it is in its own bar."""
    said = {"data-label": bar.label} if bar.kind == "document" else {}
    place: Attributes = {"x": percent(share), "width": 2, "height": HEIGHT}
    return tag("rect", {"class": "over document-line", **place, **said})


def _arrows(bar: Bar) -> Markup:
    label = f"{bar.label}\noff the scale"
    arrows = tag("path", {"class": "bar", "d": ARROWS, "data-label": label})
    return tag("svg", {"x": "100%", "overflow": "visible"}, arrows)
