"""What a backfill is about to do, counted."""

import asyncio

from vla_embeddings.backfill.column import is_foreign
from vla_embeddings.backfill.indexing import plan_index
from vla_embeddings.backfill.report import BackfillPlan
from vla_embeddings.backfill.stopping import unless_stopped
from vla_embeddings.backfill.target import Target
from vla_embeddings.backfill.transaction import scan, working
from vla_embeddings.search.binding import Parameters
from vla_embeddings.search.fingerprint import check_fingerprint
from vla_embeddings.search.handles import Connection


async def make_plan(
    connection: Connection,
    target: Target,
    fingerprint: str,
    *,
    replace: bool,
    index: bool,
    stop: asyncio.Event,
) -> BackfillPlan:
    """Count rows and see to the index; `replace`, `index` and `stop` are as in `backfill`.

    Raises:
        SearchError: the column holds vectors of another model, and `replace` is not set.
    """
    if not replace:
        check_fingerprint(target.table, target.embedding, fingerprint)
    vectors, pending = await unless_stopped(stop, count(connection, target)) or (0, 0)
    if replace and is_foreign(target, fingerprint):
        vectors, pending = 0, vectors + pending
    what = await plan_index(connection, target, vectors, pending) if index else "leave"
    return BackfillPlan(
        table=target.table.sql,
        source_column=target.source.name,
        embedding_column=target.embedding.name,
        fingerprint=fingerprint,
        vectors=vectors,
        pending=pending,
        index=what,
    )


async def count_free(connection: Connection, target: Target) -> int:
    """Rows of `target` without a vector that no other worker holds at this moment."""
    parameters = Parameters()
    condition = " AND ".join(target.pending(parameters))
    async with working(connection):
        [(free,)] = await scan(
            connection,
            f"SELECT count(*) FROM (SELECT FROM {target.table.sql} AS t WHERE {condition} "
            "FOR NO KEY UPDATE SKIP LOCKED) AS free",
            parameters,
        )
    return int(free)


async def count(connection: Connection, target: Target) -> tuple[int, int]:
    """Rows of the table that have a vector, and rows of `target` that have none."""
    parameters = Parameters()
    condition = " AND ".join(target.pending(parameters))
    async with working(connection):
        [(vectors, pending)] = await scan(
            connection,
            f"SELECT count(t.{target.embedding.sql}), count(*) FILTER (WHERE {condition}) "
            f"FROM {target.table.sql} AS t",
            parameters,
        )
    return vectors, pending
