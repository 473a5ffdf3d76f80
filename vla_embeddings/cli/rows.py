"""Which rows of which table: the options that commands on tables share."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vla_embeddings.errors import ConfigurationError

if TYPE_CHECKING:
    from vla_embeddings.backfill import FailedRow
    from vla_embeddings.search import Database

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
    typer.Option(help="Only rows whose column has this value: column=value. May be repeated."),
]


def conditions_of(where: Sequence[str] | None) -> dict[str, str]:
    """What `--where` says: columns and their values as text.

    Raises:
        ConfigurationError: one is not column=value, or names a column again.
    """
    conditions: dict[str, str] = {}
    for word in where or ():
        column, equals, value = word.partition("=")
        if not equals or column in conditions:
            raise ConfigurationError(
                f"--where {word}: expected column=value, each column once; for more, call the "
                "library's function of this name."
            )
        conditions[column] = value
    return conditions


async def filters_of(
    db: "Database", table: str, conditions: Mapping[str, str]
) -> dict[str, object]:
    """The same as `filters` of a library call: the server reads each value in its column's type.

    Raises:
        UnknownName: no such table or column.
        InvalidInput: a value that its column cannot hold.
        DatabaseUnavailable: the server went away.
    """
    from vla_embeddings.search.catalog import resolve
    from vla_embeddings.search.handles import connected

    async with connected(db) as connection:
        found = await resolve(connection, table)
        return {
            name: await connection.fetchval(
                f"SELECT $1::text::{found.scalar_column(name).base_type}", value
            )
            for name, value in conditions.items()
        }


def lines_of(rows: "Sequence[FailedRow]") -> Iterator[str]:
    """The first rows that something is wrong with, a line each."""
    for row in rows[:SHOWN]:
        yield f"  {row.id}: {row.reason}"
    if len(rows) > SHOWN:
        yield f"  and {len(rows) - SHOWN:,} more; --json lists them all."
