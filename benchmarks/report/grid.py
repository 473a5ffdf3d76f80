"""A table's cells, whatever it is shown on."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

OUTCOMES = {
    "pass": "pass",
    "pass within the noise": "pass",
    "FAIL": "FAIL",
    "FAIL within the noise": "FAIL",
}
"""What a verdict's cell says, and what that comes to."""
COLOURS = {"pass": "green", "FAIL": "bold red"}


@dataclass(frozen=True, slots=True)
class Grid:
    """A table's cells as text: columns of words, then figures, in sections under headings.

    A section whose heading is empty has none.
    """

    title: str
    columns: Sequence[str]
    sections: Mapping[str, Sequence[Sequence[str]]]
    words: int = 1
    """How many of the columns are words."""
    wide: bool = False
    """Whether a narrow page is to show each row as a block, whose cells name their columns."""

    def for_terminal(self) -> Group:
        """A table for each section under its heading, with the verdicts in colour."""
        shown: list[RenderableType] = [Text(f"\n{self.title}", style="bold")]
        for heading, rows in self.sections.items():
            if heading:  # not the table's own title, which is wrapped at the table's width
                shown.append(Text(heading, style="italic"))
            shown.append(self._table(rows))
        return Group(*shown)

    def _table(self, rows: Sequence[Sequence[str]]) -> Table:
        table = Table()
        for number, name in enumerate(self.columns):
            word = number < self.words
            table.add_column(
                escape(name),
                justify="left" if word else "right",
                overflow="fold",
                no_wrap=not word and number < len(self.columns) - 1,
            )
        for cells in rows:
            table.add_row(*map(_coloured, cells))
        return table

    def for_markdown(self) -> str:
        """The table alone."""
        width = len(self.columns)
        lines: list[Sequence[str]] = [self.columns, self._rule()]
        for heading, rows in self.sections.items():
            titles = [[f"**{heading}**"] + [""] * (width - 1)] if heading else []
            lines += [*titles, *rows]
        return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in lines)

    def _rule(self) -> list[str]:
        return ["---" if number < self.words else "---:" for number in range(len(self.columns))]


def sections(rows: Sequence[tuple[str, list[str]]]) -> dict[str, list[list[str]]]:
    """Rows under the headings they come with."""
    found: dict[str, list[list[str]]] = {heading: [] for heading, _ in rows}
    for heading, cells in rows:
        found[heading].append(cells)
    return found


def _coloured(cell: str) -> str:
    return f"[{COLOURS[OUTCOMES[cell]]}]{cell}[/]" if cell in OUTCOMES else escape(cell)


def _cell(text: str) -> str:
    """Without what would end the cell, or be taken for HTML and vanish."""
    return " ".join(html.escape(text, quote=False).replace("|", "\\|").split())
