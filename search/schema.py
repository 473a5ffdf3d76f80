"""The service's own tables."""

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import asyncpg

from vla_embeddings.errors import SearchError
from vla_embeddings.search.building import applied
from vla_embeddings.search.catalog_queries import LACKING, PATH_TO_VECTOR
from vla_embeddings.search.handles import Connection, Handle, atomic, connected

# Two workers that start together must not both create: IF NOT EXISTS alone still collides in the
# system catalog. Any constant will do; this one spells "vla".
_SCHEMA_LOCK = 0x766C61

# Whoever waits for a table's lock holds up all who come after, readers too.
LOCK_TIMEOUT = "5s"

_NAME = re.compile(r"(?:EXTENSION|TABLE|INDEX) (?:IF NOT EXISTS )?(\w+)")
_COLUMN = re.compile(r"ADD COLUMN IF NOT EXISTS (\w+)")


class _Statement(NamedTuple):
    """One statement of `schema.sql`, and what is there once it has run."""

    sql: str
    name: str
    columns: tuple[str, ...]


async def create_schema(db: Handle) -> None:
    """Create the extension, `instruction_analytics` and `context_metadata`, or what they lack.

    Of the statements of `schema.sql` beside this file, those run whose outcome is not there, each
    in a transaction of its own (or all in the caller's, where there is one). Where nothing is
    lacking, the catalog is read and no table locked. Adding columns locks a table for a moment,
    for readers too; building an index holds up writers to its end.

    Raises:
        SearchError: pgvector is not installed on the server, the role may not create, or another
            session held a table for `LOCK_TIMEOUT`. What ran before stays; run it again.
        DatabaseUnavailable: the server cannot be reached.
    """
    async with connected(db, writing=True) as connection:
        for statement in await _lacking(connection):
            async with atomic(connection):
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
                if statement in await _lacking(connection):  # nobody else has run it meanwhile
                    await _run(connection, statement)


async def _run(connection: Connection, statement: _Statement) -> None:
    settings = {"lock_timeout": LOCK_TIMEOUT}
    if path := await connection.fetchval(PATH_TO_VECTOR):
        settings["search_path"] = path
    try:
        async with applied(connection, settings):
            await connection.execute(statement.sql)
    except asyncpg.LockNotAvailableError as error:
        raise SearchError(
            f"To create {statement.name} or its columns, a table must be locked, which another "
            f"session has held for {LOCK_TIMEOUT}. End that session's transaction "
            "(pg_stat_activity lists it), or wait for it; then run `vla-embeddings db init`, "
            "which goes on where it stopped."
        ) from error


async def _lacking(connection: Connection) -> list[_Statement]:
    """The statements whose outcome is not all there, in their order."""
    wanted = [
        (place, name, column)
        for place, (_, name, columns) in enumerate(_statements())
        for column in columns or (None,)
    ]
    rows = await connection.fetch(LACKING, *zip(*wanted, strict=True))
    return [_statements()[row["place"]] for row in rows]


@cache
def _statements() -> tuple[_Statement, ...]:
    text = files("vla_embeddings.search").joinpath("schema.sql").read_text()
    return tuple(
        _Statement(sql.strip(), name[1], tuple(_COLUMN.findall(sql)))
        for sql in text.split(";")
        if (name := _NAME.search(sql))
    )
