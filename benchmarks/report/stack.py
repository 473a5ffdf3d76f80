"""Parts of a whole as stacked bars."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.report.figure import Look, legend
from benchmarks.report.markup import Attributes, Markup, joined, percent, tag
from benchmarks.report.words import rounded

HEIGHT = 28

Parts = Mapping[str, float]
"""What a whole consists of."""


@dataclass(frozen=True, slots=True)
class Whole:
    """One bar."""

    name: str
    parts: Parts
    total: str
    """In words: it may have been measured by itself, and not be the sum of the parts."""


def stacked_bars(wholes: Sequence[Whole], unit: str) -> Markup:
    """A bar for each whole, as long as its parts together; a part's colour is the same in all."""
    names = list(dict.fromkeys(name for whole in wholes for name in whole.parts))
    top = max(_total(whole.parts) for whole in wholes) or 1
    bars = [_bar(whole, names, unit, top) for whole in wholes]
    looks = {name: Look(number) for number, name in enumerate(names)}
    return joined(legend(looks, shapes=False), tag("ol", {"class": "bars"}, *bars))


def _bar(whole: Whole, names: Sequence[str], unit: str, top: float) -> Markup:
    return tag(
        "li",
        {},
        tag("span", {"class": "name"}, whole.name),
        tag("span", {"class": "value"}, whole.total),
        tag(
            "svg",
            {"height": HEIGHT, "aria-hidden": "true"},
            *_segments(whole.parts, names, unit, top),
        ),
    )


def _segments(parts: Parts, names: Sequence[str], unit: str, top: float) -> Iterator[Markup]:
    start = 0.0
    for number, name in enumerate(names):
        value = parts.get(name, 0)
        if value <= 0:
            continue
        attributes: Attributes = {
            "class": f"bar {Look(number).colour}",
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
