"""Which model filled a column, remembered in the column's comment.

A comment is metadata of the database's own: it needs no table of ours, it goes along with
pg_dump, and it is gone when the column is.
"""

import re

import asyncpg

from vla_embeddings.errors import InvalidInput, SearchError
from vla_embeddings.search.catalog import Column, Table, forget
from vla_embeddings.search.handles import Connection, atomic
from vla_embeddings.search.pipeline import Turn

_MARK = re.compile(r"^vla-embeddings: (.+)$", re.MULTILINE)

_COMMENT = """
SELECT pg_catalog.col_description(a.attrelid, a.attnum)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = $1::text::regclass AND a.attname = $2
"""


def recorded_fingerprint(column: Column) -> str | None:
    """What filled `column` when it was looked up, or None where it did not say."""
    return _marked(column.comment)


def check_fingerprint(table: Table, column: Column, fingerprint: str | None) -> None:
    """SearchError where `column` held vectors of a model other than `fingerprint`."""
    if fingerprint is not None:
        _refuse_others(table, column, recorded_fingerprint(column), _one_line(fingerprint))


async def claim_column(
    connection: Connection,
    table: Table,
    column: Column,
    fingerprint: str | None,
    *,
    force: bool,
    turn: Turn | None = None,
) -> None:
    """Check `fingerprint` before writing, and record it where nothing (or, by `force`, else) is.

    What the column says at this moment counts, not when it was looked up. Where there is
    something to record, `turn` comes first; two writers that come first at the same time are put
    in order by the table's lock.
    """
    if fingerprint is None:
        return
    ours = _one_line(fingerprint)

    async def is_recorded() -> bool:
        recorded = _marked(await _comment(connection, table, column))
        if not force:
            _refuse_others(table, column, recorded, ours)
        return recorded == ours

    if await is_recorded():
        return
    if turn is not None:
        await turn.wait()
    try:
        async with atomic(connection):
            await connection.execute(f"LOCK TABLE {table.sql} IN SHARE UPDATE EXCLUSIVE MODE")
            if not await is_recorded():
                await connection.execute(await _statement(connection, table, column, ours))
    except asyncpg.InsufficientPrivilegeError as error:
        raise SearchError(
            f"What fills {table.sql}.{column.sql} is to be recorded before it is written, and "
            "this role does not own the table. As its owner, run once: "
            f"{await _statement(connection, table, column, ours)};"
        ) from error
    forget()


async def _comment(connection: Connection, table: Table, column: Column) -> str | None:
    comment: str | None = await connection.fetchval(_COMMENT, table.sql, column.name)
    return comment


def _marked(comment: str | None) -> str | None:
    found = _MARK.search(comment or "")
    return found[1] if found else None


def _one_line(fingerprint: object) -> str:
    if not isinstance(fingerprint, str) or re.fullmatch(r".+", fingerprint) is None:
        raise InvalidInput(f"A fingerprint must be a string of one line; got {fingerprint!r}.")
    return fingerprint


def _refuse_others(table: Table, column: Column, recorded: str | None, fingerprint: str) -> None:
    if recorded not in (None, fingerprint):
        raise SearchError(
            f"{table.sql}.{column.sql} holds vectors of {recorded}, which cannot be compared "
            f"with vectors of {fingerprint}. Embed the column anew (vla-embeddings backfill "
            "--replace), or pass force=True if you know that they agree."
        )


async def _statement(
    connection: Connection, table: Table, column: Column, fingerprint: str
) -> str:
    """What records it in the column's comment, and keeps what else is there."""
    others = _MARK.sub("", await _comment(connection, table, column) or "")
    # COMMENT takes no parameters, so the server itself quotes the text.
    statement: str = await connection.fetchval(
        "SELECT format('COMMENT ON COLUMN %s IS %L', $1::text, $2::text)",
        f"{table.sql}.{column.sql}",
        f"{others.strip()}\nvla-embeddings: {fingerprint}".strip(),
    )
    return statement
