"""Which model filled a column, remembered in the column's comment.

A comment is metadata of the database's own: it needs no table of ours, it goes along with
pg_dump, and it is gone when the column is.
"""

import re

from vla_embeddings.errors import InvalidInput, SearchError
from vla_embeddings.search.catalog import Column, Table, forget, resolve
from vla_embeddings.search.handles import Connection
from vla_embeddings.search.pipeline import Before

_MARK = re.compile(r"^vla-embeddings: (.+)$", re.MULTILINE)


def recorded_fingerprint(column: Column) -> str | None:
    """What filled `column`, or None where it does not say."""
    found = _MARK.search(column.comment or "")
    return found[1] if found else None


def check_fingerprint(table: Table, column: Column, fingerprint: str | None) -> None:
    """SearchError where `column` holds vectors of a model other than `fingerprint`."""
    recorded = recorded_fingerprint(column)
    if fingerprint is not None and recorded not in (None, fingerprint):
        raise SearchError(
            f"{table.sql}.{column.sql} holds vectors of {recorded}, which cannot be compared "
            f"with vectors of {fingerprint}. Embed the column anew (vla-embeddings backfill "
            "--replace), or pass force=True if you know that they agree."
        )


async def claim_column(
    connection: Connection,
    table: Table,
    column: Column,
    fingerprint: str | None,
    *,
    force: bool,
    before: Before = None,
) -> None:
    """Check `fingerprint` before writing, and record it where nothing (or, by `force`, else) is.

    `before` is awaited where there is something to record. Two writers that come first at the
    same time are put in order by the table's lock.
    """
    if fingerprint is None:
        return
    if re.fullmatch(r".+", fingerprint) is None:
        raise InvalidInput(f"A fingerprint must be one line; got {fingerprint!r}.")
    recorded = recorded_fingerprint(column)
    if recorded == fingerprint:
        return
    if before is not None:
        await before
    if recorded is not None and not force:
        check_fingerprint(table, column, fingerprint)
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {table.sql} IN SHARE UPDATE EXCLUSIVE MODE")
        forget()
        column = (await resolve(connection, f"{table.schema}.{table.name}")).column(column.name)
        if not force:
            check_fingerprint(table, column, fingerprint)
        await _record(connection, table, column, fingerprint)
    forget()


async def _record(connection: Connection, table: Table, column: Column, fingerprint: str) -> None:
    others = _MARK.sub("", column.comment or "").strip()
    # COMMENT takes no parameters, so the server itself quotes the text.
    statement = await connection.fetchval(
        "SELECT format('COMMENT ON COLUMN %s IS %L', $1::text, $2::text)",
        f"{table.sql}.{column.sql}",
        f"{others}\nvla-embeddings: {fingerprint}".strip(),
    )
    await connection.execute(statement)
