"""A chart with its caption, its legend and the table of its data."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.report.grid import Grid
from benchmarks.report.html_table import html_table
from benchmarks.report.markup import Attributes, Markup, joined, tag

SLOTS = 12
"""Colours and shapes there are for the lines of one chart; with more lines, the first is ours
alone, and the others share theirs."""

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
    "M-5-5H5L1 0 5 5H-5L-1 0Z",
    "M-5.5-2H5.5V2H-5.5Z",
    "M-2-5.5H2V5.5H-2Z",
    "M-5-5 0-1 5-5V5L0 1-5 5Z",
)


@dataclass(frozen=True, slots=True)
class Look:
    """How the subject of a number is drawn."""

    number: int
    muted: bool = False
    """Whether it steps back behind others."""

    @property
    def colour(self) -> str:
        """Its class."""
        return f"colour-{self._slot}{' muted' if self.muted else ''}"

    @property
    def shape(self) -> str:
        """Of its marks, as a reference."""
        return f"#shape-{self._slot}"

    @property
    def _slot(self) -> int:
        return 1 if self.number == 0 else (self.number - 1) % (SLOTS - 1) + 2


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


def legend(subjects: Mapping[str, Look], *, shapes: bool) -> Markup:
    """The colours of the subjects, with the shapes of their marks or as plain squares."""
    return tag(
        "ul",
        {"class": "legend"},
        *[tag("li", {}, _key(look, shapes=shapes), subject) for subject, look in subjects.items()],
    )


def facts(said: Mapping[str, str]) -> Markup:
    """What is known besides, in words: names and values."""
    pairs = [
        tag("div", {}, tag("dt", {}, name), tag("dd", {}, text)) for name, text in said.items()
    ]
    return tag("dl", {"class": "facts"}, *pairs)


def mark(look: Look, x: str, y: str, label: str) -> Markup:
    """Its shape, with what it says when pointed at."""
    return tag("use", {**_shape(look, x, y), "data-label": label})


def dot(look: Look, x: str, y: str, label: str) -> Markup:
    """Likewise where there is no room for shapes."""
    place: Attributes = {"cx": x, "cy": y, "r": 2.5}
    return tag("circle", {"class": f"mark {look.colour}", **place, "data-label": label})


def shapes() -> Markup:
    """What the marks of all charts refer to; once a page."""
    drawn = [
        tag("path", {"id": f"shape-{number}", "d": path})
        for number, path in enumerate(SHAPES, start=1)
    ]
    return tag("svg", {"class": "shapes", "aria-hidden": "true"}, tag("defs", {}, *drawn))


def _shape(look: Look, x: str, y: str) -> dict[str, str]:
    return {"class": f"mark {look.colour}", "href": look.shape, "x": x, "y": y}


def _key(look: Look, *, shapes: bool) -> Markup:
    key = (
        tag("use", _shape(look, "50%", "50%"))
        if shapes
        else tag("rect", {"class": f"bar {look.colour}", "width": "100%", "height": "100%"})
    )
    return tag("svg", {"class": "key", "aria-hidden": "true"}, joined(key))
