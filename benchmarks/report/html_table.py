"""A grid as an HTML table in a box that scrolls by itself where the page is narrow."""

from collections.abc import Sequence

from benchmarks.report.grid import OUTCOMES, Grid
from benchmarks.report.markup import Attributes, Markup, tag

SIGNS = {"pass": "✓", "FAIL": "✗"}


def html_table(grid: Grid) -> Markup:
    """The table; the grid's title is read out, and shown by whoever places it."""
    head = [
        tag("th", {"scope": "col", **_kind(number, grid)}, name)
        for number, name in enumerate(grid.columns)
    ]
    bodies = [_body(heading, rows, grid) for heading, rows in grid.sections.items()]
    kind = {"class": "wide"} if grid.wide else {}
    table = tag("table", kind, tag("thead", {}, tag("tr", {}, *head)), *bodies)
    # A box that scrolls must be reachable by the keyboard.
    box: Attributes = {
        "class": "scroll",
        "tabindex": 0,
        "role": "group",
        "aria-label": grid.title,
    }
    return tag("div", box, table)


def _body(heading: str, rows: Sequence[Sequence[str]], grid: Grid) -> Markup:
    across: Attributes = {"scope": "rowgroup", "colspan": len(grid.columns)}
    title = tag("tr", {}, tag("th", across, heading))
    lines = [_row(cells, grid) for cells in rows]
    return tag("tbody", {}, *([title] if heading else []), *lines)


def _row(cells: Sequence[str], grid: Grid) -> Markup:
    first, *rest = cells
    figures = [_cell(cell, number, grid) for number, cell in enumerate(rest, start=1)]
    return tag("tr", {}, tag("th", {"scope": "row", **_kind(0, grid)}, first), *figures)


def _cell(cell: str, number: int, grid: Grid) -> Markup:
    named = {"data-column": grid.columns[number]} if grid.wide else {}
    if outcome := OUTCOMES.get(cell):
        return tag("td", {"class": outcome.lower(), **named}, f"{SIGNS[outcome]} {cell}")
    return tag("td", {**_kind(number, grid), **named}, cell)


def _kind(number: int, grid: Grid) -> dict[str, str]:
    return {"class": "words"} if number < grid.words else {}
