"""The column's index while many rows change: left, created at the end, or dropped and rebuilt."""

from collections.abc import Callable

from vla_embeddings.backfill.column import Counts
from vla_embeddings.backfill.report import BackfillProgress, IndexPlan
from vla_embeddings.backfill.target import Target
from vla_embeddings.config import embedding_config
from vla_embeddings.search import (
    BuildProgress,
    VectorIndex,
    create_hnsw_index,
    create_ivfflat_index,
    drop_index,
)
from vla_embeddings.search.building import sole_builder
from vla_embeddings.search.catalog import vector_indexes
from vla_embeddings.search.definition import IndexDefinition
from vla_embeddings.search.handles import Connection, Handle, connected
from vla_embeddings.search.metric import metric_named

REBUILD_SHARE = 0.25
"""From this share of new vectors on, a rebuild takes less time than adding them one by one."""


async def plan_index(connection: Connection, target: Target, counts: Counts) -> IndexPlan:
    """What to do with the column's index.

    Only an index that `build_index` makes again in just the same way is ever dropped, so one of
    another definition is not lost when the run breaks off in between.
    """
    total = counts.vectors + counts.pending
    valid = [index for index in await _indexes(connection, target) if index.state == "valid"]
    if not valid:
        return "create" if total else "leave"
    rebuilds = all(_configured(target).equals(index) for index in valid)
    return "rebuild" if rebuilds and counts.pending > REBUILD_SHARE * total else "leave"


async def drop_indexes(db: Handle, target: Target) -> None:
    """Drop what `build_index` makes again; of workers that start together, one does."""
    async with connected(db) as connection, sole_builder(connection, target.table):
        for index in await _indexes(connection, target):
            if _configured(target).equals(index):
                await drop_index(
                    db, f"{index.schema}.{index.name}", concurrently=_concurrently(target)
                )


async def build_index(
    db: Handle, target: Target, progress: Callable[[BackfillProgress], None]
) -> VectorIndex:
    """Create the configured index, where workers that end together have not."""

    def show(build: BuildProgress) -> None:
        progress(BackfillProgress(f"index: {build.phase}", build.done, build.total))

    create = create_hnsw_index if embedding_config.use_hnsw_index else create_ivfflat_index
    return await create(
        db,
        target.table.sql,
        target.embedding.name,
        concurrently=_concurrently(target),
        progress=show,
    )


def _configured(target: Target) -> IndexDefinition:
    """What the functions that create an index make without further arguments."""
    config = embedding_config
    method, options = (
        ("hnsw", {"m": config.hnsw_m, "ef_construction": config.hnsw_ef_construction})
        if config.use_hnsw_index
        else ("ivfflat", {"lists": 100})
    )
    return IndexDefinition(
        target.table, target.embedding, method, metric_named("cosine"), False, options
    )


def _concurrently(target: Target) -> bool:
    # PostgreSQL cannot do either on a partitioned table.
    return target.table.kind == "r"


async def _indexes(connection: Connection, target: Target) -> list[VectorIndex]:
    found = await vector_indexes(connection, target.table.oid)
    return [index for index in found if index.column == target.embedding.name]
