"""Parts of a whole as stacked bars: each series a part, each x a bar."""

from collections.abc import Iterator, Sequence

from benchmarks.report.figure import colour, legend
from benchmarks.report.markup import Attributes, Markup, joined, percent, tag
from benchmarks.report.words import rounded
from benchmarks.results import Series

HEIGHT = 28


def stacked_bars(series: Sequence[Series]) -> Markup:
    """A bar for each x, as long as its parts together."""
    parts = [(each, dict(each.points)) for each in series]
    chosen = sorted({x for _, points in parts for x in points})
    totals = {x: sum(points.get(x, 0) for _, points in parts) for x in chosen}
    top = max(totals.values()) or 1
    bars = [
        tag(
            "li",
            {},
            tag("span", {"class": "name"}, f"{series[0].x}: {rounded(x)}"),
            tag("span", {"class": "value"}, f"{rounded(totals[x])} {series[0].y}"),
            tag("svg", {"height": HEIGHT, "aria-hidden": "true"}, *_segments(parts, x, top)),
        )
        for x in chosen
    ]
    return joined(
        legend([each.subject for each in series], shapes=False),
        tag("ol", {"class": "bars"}, *bars),
    )


def _segments(
    parts: Sequence[tuple[Series, dict[float, float]]], x: float, top: float
) -> Iterator[Markup]:
    start = 0.0
    for number, (series, points) in enumerate(parts):
        if points.get(x, 0) <= 0:
            continue
        attributes: Attributes = {
            "class": f"bar {colour(number)}",
            "x": percent(start / top),
            "width": percent(points[x] / top),
            "height": HEIGHT,
            "data-label": f"{series.subject}: {rounded(points[x])} {series.y}",
        }
        yield tag("rect", attributes)
        start += points[x]
