"""Parts of a whole as stacked bars."""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.report.figure import colour, legend
from benchmarks.report.markup import Attributes, Markup, joined, percent, tag
from benchmarks.report.words import rounded

HEIGHT = 28

Parts = Mapping[str, float]
"""What a whole consists of."""


def stacked_bars(wholes: Mapping[str, Parts], unit: str) -> Markup:
    """A bar for each whole, as long as its parts together; a part's colour is the same in all."""
    names = list(dict.fromkeys(name for parts in wholes.values() for name in parts))
    top = max(map(_total, wholes.values())) or 1
    bars = [_bar(whole, parts, names, unit, top) for whole, parts in wholes.items()]
    return joined(legend(names, shapes=False), tag("ol", {"class": "bars"}, *bars))


def _bar(whole: str, parts: Parts, names: Sequence[str], unit: str, top: float) -> Markup:
    return tag(
        "li",
        {},
        tag("span", {"class": "name"}, whole),
        tag("span", {"class": "value"}, f"{rounded(_total(parts))} {unit}"),
        tag(
            "svg",
            {"height": HEIGHT, "aria-hidden": "true"},
            *_segments(parts, names, unit, top),
        ),
    )


def _segments(parts: Parts, names: Sequence[str], unit: str, top: float) -> Iterator[Markup]:
    start = 0.0
    for number, name in enumerate(names):
        value = parts.get(name, 0)
        if value <= 0:
            continue
        attributes: Attributes = {
            "class": f"bar {colour(number)}",
            "x": percent(start / top),
            "width": percent(value / top),
            "height": HEIGHT,
            "data-label": f"{name}: {rounded(value)} {unit}",
        }
        yield tag("rect", attributes)
        start += value


def _total(parts: Parts) -> float:
    """Of those that can be drawn."""
    return sum(max(value, 0) for value in parts.values())
