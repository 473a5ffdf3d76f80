"""A chart with its caption, its legend and the table of its data."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report.grid import Grid
from benchmarks.report.html_table import html_table
from benchmarks.report.markup import Attributes, Markup, joined, tag

SLOTS = 8
"""Colours and shapes there are for the lines of one chart."""

# Drawn around the origin, as wide as high; the first for ours.
SHAPES = (
    "M0-4.5A4.5 4.5 0 1 1 0 4.5 4.5 4.5 0 1 1 0-4.5Z",
    "M-4-4H4V4H-4Z",
    "M0-5 5 4H-5Z",
    "M0-5.5 5.5 0 0 5.5-5.5 0Z",
    "M0 5-5-4H5Z",
    "M-5-1.7H-1.7V-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5Z",
    "M-5-4-4-5 0-1 4-5 5-4 1 0 5 4 4 5 0 1-4 5-5 4-1 0Z",
    "M0-5 1.5-1.5 5 0 1.5 1.5 0 5-1.5 1.5-5 0-1.5-1.5Z",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """What is drawn, and what is said about it."""

    title: str
    note: str
    drawing: Markup
    data: Grid


def show(figure: Figure, identity: str) -> Markup:
    """The figure as HTML; `identity` is its id, the only one on the page."""
    note = tag("p", {}, figure.note) if figure.note else ""
    return tag(
        "figure",
        {"id": identity, "class": "card"},
        tag("figcaption", {}, tag("h3", {}, figure.title), note),
        figure.drawing,
        tag("details", {}, tag("summary", {}, "Data"), html_table(figure.data)),
    )


def legend(subjects: Sequence[str], *, shapes: bool) -> Markup:
    """The colours of the subjects, with the shapes of their marks or as plain squares."""
    return tag(
        "ul",
        {"class": "legend"},
        *[
            tag("li", {}, _key(number, shapes=shapes), subject)
            for number, subject in enumerate(subjects)
        ],
    )


def colour(number: int) -> str:
    """The class of the subject of that number."""
    return f"colour-{number % SLOTS + 1}"


def mark(number: int, x: str, y: str, label: str) -> Markup:
    """The shape of the subject of that number, with what it says when pointed at."""
    return tag("use", {**_shape(number, x, y), "data-label": label})


def dot(number: int, x: str, y: str, label: str) -> Markup:
    """Likewise where there is no room for shapes."""
    place: Attributes = {"cx": x, "cy": y, "r": 2.5}
    return tag("circle", {"class": f"mark {colour(number)}", **place, "data-label": label})


def shapes() -> Markup:
    """What the marks of all charts refer to; once a page."""
    drawn = [
        tag("path", {"id": f"shape-{number}", "d": path})
        for number, path in enumerate(SHAPES, start=1)
    ]
    return tag("svg", {"class": "shapes", "aria-hidden": "true"}, tag("defs", {}, *drawn))


def _shape(number: int, x: str, y: str) -> dict[str, str]:
    href = f"#shape-{number % SLOTS + 1}"
    return {"class": f"mark {colour(number)}", "href": href, "x": x, "y": y}


def _key(number: int, *, shapes: bool) -> Markup:
    key = (
        tag("use", _shape(number, "50%", "50%"))
        if shapes
        else tag("rect", {"class": f"bar {colour(number)}", "width": "100%", "height": "100%"})
    )
    return tag("svg", {"class": "key", "aria-hidden": "true"}, joined(key))
