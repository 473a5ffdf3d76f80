"""Which rows of which table: the options that commands on tables share."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vla_embeddings.errors import ConfigurationError

if TYPE_CHECKING:
    from vla_embeddings.backfill import FailedRow

SHOWN = 20


class KindOption(StrEnum):
    """What the source column holds."""

    text = "text"
    image = "image"


TableName = Annotated[str, typer.Option(help="Table, or schema.table, as the database has it.")]
SourceColumn = Annotated[
    str, typer.Option(help="What is embedded: instructions, image files as bytea, or paths.")
]
Kind = Annotated[KindOption, typer.Option(help="What the sources are.")]
Root = Annotated[
    Path | None, typer.Option(help="The folder that images' paths start from and never leave.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        help="Only rows whose text column has this value: column=value. May be repeated."
    ),
]


def filters_of(where: Sequence[str] | None) -> dict[str, object]:
    """What `--where` says, as `filters` of a library call.

    Raises:
        ConfigurationError: one is not column=value, or names a column again.
    """
    filters: dict[str, object] = {}
    for word in where or ():
        column, equals, value = word.partition("=")
        if not equals or column in filters:
            raise ConfigurationError(
                f"--where {word}: expected column=value, each column once; for more, call the "
                "library's function of this name."
            )
        filters[column] = value
    return filters


def lines_of(rows: "Sequence[FailedRow]") -> Iterator[str]:
    """The first rows that something is wrong with, a line each."""
    for row in rows[:SHOWN]:
        yield f"  {row.id}: {row.reason}"
    if len(rows) > SHOWN:
        yield f"  and {len(rows) - SHOWN:,} more; --json lists them all."
