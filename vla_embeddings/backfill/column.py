"""Whose vectors a column holds.

What the column's comment says is true at every moment: a replacement empties the column and
writes the new fingerprint in one transaction. From then on NULL means a row that the new model
has not come to yet, in that run or in the one that goes on after it.
"""

from vla_embeddings.backfill.target import Target
from vla_embeddings.backfill.transaction import SCAN_SECONDS, working
from vla_embeddings.search.fingerprint import claim_column, recorded_fingerprint
from vla_embeddings.search.handles import Connection


def is_foreign(target: Target, fingerprint: str) -> bool:
    """Whether the column says anything but `fingerprint`."""
    return recorded_fingerprint(target.embedding) != fingerprint


async def claim(
    connection: Connection, target: Target, fingerprint: str, *, replace: bool
) -> None:
    """Make the column `fingerprint`'s; with `replace`, empty it of another's vectors first.

    Raises:
        SearchError: another model filled it, and `replace` is not set.
    """
    if not replace or not is_foreign(target, fingerprint):
        await claim_column(connection, target.table, target.embedding, fingerprint, force=False)
        return
    async with working(connection):
        # Others may read but not write, or a vector of the old model would come in between.
        await connection.execute(f"LOCK TABLE {target.table.sql} IN SHARE ROW EXCLUSIVE MODE")
        target = await target.fresh(connection)
        if is_foreign(target, fingerprint):  # else a worker that started with us has done it
            await connection.execute(
                f"UPDATE {target.table.sql} SET {target.embedding.sql} = NULL "
                f"WHERE {target.embedding.sql} IS NOT NULL",
                timeout=SCAN_SECONDS,
            )
            await claim_column(connection, target.table, target.embedding, fingerprint, force=True)
