"""`backfill`: from rows without a vector to rows with one, and an index over them."""

import asyncio
import time
from pathlib import Path

from vla_embeddings.backfill.column import claim
from vla_embeddings.backfill.engine import Engine, LocalEngine, Work
from vla_embeddings.backfill.indexing import build_index, drop_indexes
from vla_embeddings.backfill.pace import check_rate
from vla_embeddings.backfill.plan import count, count_free, make_plan
from vla_embeddings.backfill.report import (
    BackfillPlan,
    BackfillProgress,
    BackfillReport,
    Progress,
)
from vla_embeddings.backfill.sources import check_model, check_root
from vla_embeddings.backfill.stopping import unless_stopped
from vla_embeddings.backfill.tally import Tally
from vla_embeddings.backfill.target import Kind, find_target
from vla_embeddings.errors import InvalidInput
from vla_embeddings.search.filters import Filters
from vla_embeddings.search.handles import Handle, connected, opens_connections
from vla_embeddings.service import EmbeddingService

LOCAL = LocalEngine()


async def backfill(
    db: Handle,
    service: EmbeddingService,
    *,
    table: str,
    source_column: str,
    embedding_column: str,
    kind: Kind = "text",
    root: Path | str | None = None,
    filters: Filters | None = None,
    replace: bool = False,
    rows_per_second: float | None = None,
    index: bool = True,
    dry_run: bool = False,
    progress: Progress | None = None,
    stop: asyncio.Event | None = None,
    engine: Engine = LOCAL,
) -> BackfillReport:
    """Give a vector to every row that has none.

    Each block of rows is leased, embedded and written in a transaction of its own, while others
    are read and embedded; so a run may end at any point, and another goes on where it was, and
    several may work at once. The service's cache is neither asked nor filled.

    Args:
        db: opens up to three connections: a Database, an asyncpg Pool, a SQLAlchemy AsyncEngine.
        table: `table` or `schema.table`, with a primary key; it may be partitioned.
        source_column: the instructions; for images, their content as bytea, or their paths.
        embedding_column: a vector column of the model's dimension. Its comment remembers the
            model; see `batch_index_embeddings`.
        root: the folder that paths of images start from and never leave.
        filters: only rows that pass, as in `cosine_similarity_search`.
        replace: where another model filled the column, empty it first.
        rows_per_second: at most so many in the long run.
        index: see to the column's index, as `BackfillPlan.index` says; else it is left alone.
        dry_run: count and plan, and change nothing.
        progress: called at the start, after each block, and a few times a second while the
            index is built.
        stop: once it is set, blocks at hand are finished and no further ones begun; counting,
            waiting for a lock and building the index are broken off.
        engine: where the work is done: by default in this process, on `db` and `service`; with
            `vla_embeddings.backfill.distributed.RayEngine`, by workers on Ray.

    Returns:
        What was done. Rows that cannot be embedded (NULL, blank, broken images, missing files) or
        whose vector a trigger kept out are listed with the reason, stay as they are, and are
        tried again by the next run alone.

    Raises:
        UnknownName: no such table or column.
        InvalidInput: an argument, or a table, that cannot be worked with.
        DimensionMismatch: the column is for vectors of another length than the model's.
        SearchError: another model filled the column, and `replace` is not set.
        DatabaseUnavailable: the server went away; blocks before it stay written.
        Others: as `EmbeddingService.get_instruction_embedding`.
    """
    check_rate(rows_per_second)
    if not opens_connections(db):
        raise InvalidInput(
            "A backfill works on several connections: pass a vla_embeddings.search.Database, an "
            "asyncpg Pool or a SQLAlchemy AsyncEngine."
        )
    if replace and filters:
        raise InvalidInput("replace empties the whole column, so it goes with no filters.")
    tell, stop = progress or _silent, stop or asyncio.Event()
    fingerprint = await service.fingerprint(kind)
    async with connected(db) as connection:
        target = await find_target(
            connection, table, source_column, embedding_column, kind=kind, filters=filters
        )
        folder = check_root(target, root)
        await check_model(service, target)
        plan = await make_plan(
            connection, target, fingerprint, replace=replace, index=index, stop=stop
        )
        if dry_run:
            return BackfillReport(plan, left=plan.pending, dry_run=True, stopped=stop.is_set())
        await unless_stopped(stop, claim(connection, target, fingerprint, replace=replace))
        if plan.index == "rebuild":
            await unless_stopped(stop, drop_indexes(connection, target))
    work = Work(target, fingerprint, plan.pending, folder, rows_per_second)
    started = time.perf_counter()
    tally = Tally(kind, pending=plan.pending, progress=tell)
    if plan.pending and not stop.is_set():
        await engine.fill(db, service, work, tally, stop)
    seconds = time.perf_counter() - started
    left, index_name = await _finish(db, work, plan, tally, stop, tell)
    return BackfillReport(
        plan,
        embedded=tally.embedded,
        failed=tally.failed,
        left=left,
        seconds=seconds,
        index=index_name,
        stopped=stop.is_set(),
    )


async def _finish(
    db: Handle,
    work: Work,
    plan: BackfillPlan,
    tally: Tally,
    stop: asyncio.Event,
    progress: Progress,
) -> tuple[int, str | None]:
    """The rows that are left, and the index that was built where nobody works at them."""
    async with connected(db) as connection:
        counted = await unless_stopped(stop, count(connection, work.target))
        if counted is None:
            return tally.rest, None
        _, without = counted
        left = max(0, without - len(tally.failed))
        if plan.index == "leave":
            return left, None
        # A worker that still holds rows will build the index after them. Rows that came in behind
        # the run are the next one's: on a busy table there always are some.
        if without:
            free = await unless_stopped(stop, count_free(connection, work.target))
            if free is None or free < without:
                return left, None
    index = await unless_stopped(stop, build_index(db, work.target, progress))
    return left, index.name if index else None


def _silent(_: BackfillProgress) -> None:
    return
