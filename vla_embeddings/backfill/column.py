"""The column before it is filled: which model's it is, and what is in it.

What the column's comment says is true at every moment. `replace` empties the column and writes
the new fingerprint in one transaction: from then on a NULL is a row that the new model has not
seen, in this run or in one that goes on where it broke off.
"""

from dataclasses import dataclass

from vla_embeddings.backfill.target import Target
from vla_embeddings.backfill.transaction import SCAN_SECONDS, working
from vla_embeddings.search.binding import Parameters
from vla_embeddings.search.engine import fetch
from vla_embeddings.search.fingerprint import (
    check_fingerprint,
    claim_column,
    recorded_fingerprint,
)
from vla_embeddings.search.handles import Connection


@dataclass(frozen=True)
class Counts:
    """Rows with a vector that stays, and rows that are to get one."""

    vectors: int
    pending: int


async def count(
    connection: Connection, target: Target, fingerprint: str, *, replace: bool
) -> Counts:
    """Count the rows, all of them pending where `replace` is going to empty the column.

    Raises:
        SearchError: the column holds vectors of another model, and `replace` is not set.
    """
    if not replace:
        check_fingerprint(target.table, target.embedding, fingerprint)
    parameters = Parameters()
    async with working(connection):
        [row] = await fetch(
            connection,
            f"SELECT count(*) AS rows, count(t.{target.embedding.sql}) AS vectors, "
            f"count(*) FILTER (WHERE {target.pending(parameters)}) AS pending "
            f"FROM {target.table.sql} AS t",
            parameters,
        )
    if replace and _is_foreign(target, fingerprint):
        return Counts(0, row["rows"])
    return Counts(row["vectors"], row["pending"])


async def claim(
    connection: Connection, target: Target, fingerprint: str, *, replace: bool
) -> None:
    """Make the column `fingerprint`'s; with `replace`, empty it first of another's vectors."""
    if not replace or not _is_foreign(target, fingerprint):
        await claim_column(
            connection, target.table, target.embedding, fingerprint, force=False
        )
        return
    async with working(connection):
        # Others may read, but not write: a vector of the old model that came in between would
        # pass for one of the new. Of two workers that start together, the second finds it done.
        await connection.execute(f"LOCK TABLE {target.table.sql} IN SHARE ROW EXCLUSIVE MODE")
        target = await target.fresh(connection)
        if _is_foreign(target, fingerprint):
            await connection.execute(
                f"UPDATE {target.table.sql} SET {target.embedding.sql} = NULL "
                f"WHERE {target.embedding.sql} IS NOT NULL",
                timeout=SCAN_SECONDS,
            )
        await claim_column(connection, target.table, target.embedding, fingerprint, force=True)


def _is_foreign(target: Target, fingerprint: str) -> bool:
    return recorded_fingerprint(target.embedding) != fingerprint
