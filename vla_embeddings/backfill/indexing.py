"""The column's index while many rows change: left, created at the end, or dropped and rebuilt."""

from vla_embeddings.backfill.report import BackfillProgress, IndexPlan, Progress
from vla_embeddings.backfill.target import Target
from vla_embeddings.config import embedding_config
from vla_embeddings.errors import InvalidInput
from vla_embeddings.search import (
    BuildProgress,
    VectorIndex,
    create_hnsw_index,
    create_ivfflat_index,
    drop_index,
)
from vla_embeddings.search.building import CONCURRENT, UNHURRIED, applied, sole_builder
from vla_embeddings.search.catalog import vector_indexes
from vla_embeddings.search.definition import IndexDefinition
from vla_embeddings.search.handles import Connection, Handle
from vla_embeddings.search.metric import metric_named

REBUILD_SHARE = 0.1
"""From this share of new vectors on, a rebuild takes less time than adding them one by one.

Measured with HNSW, m 16, ef_construction 64, 384 dimensions, on 2 cores: building takes 0.2 and
0.3 ms a row at 30,000 and 100,000 rows, adding one 0.7-1.6 and 3.6-5.3 ms, so both take the same
time at a share of 0.13-0.29 and of 0.06-0.09.
"""


async def plan_index(
    connection: Connection, target: Target, vectors: int, pending: int
) -> IndexPlan:
    """What to do with the column's index when `pending` vectors are added to `vectors`.

    Only an index that `build_index` makes again in just the same way is ever dropped, so one of
    another definition is not lost when the run breaks off in between.

    Raises:
        InvalidInput: `build_index` could make none, which is said before all rows are embedded.
    """
    valid = [index for index in await _indexes(connection, target) if index.state == "valid"]
    if not valid and not vectors + pending:
        return "leave"
    try:
        wanted = _configured(target)
    except InvalidInput as error:
        raise InvalidInput(f"{error} Or leave indexes alone: index=False, --no-index.") from None
    if not valid:
        return "create"
    same = all(wanted.equals(index) for index in valid)
    many = pending > REBUILD_SHARE * (vectors + pending)
    return "rebuild" if same and many else "leave"


async def drop_indexes(connection: Connection, target: Target) -> None:
    """Drop what `build_index` makes again; of workers that start together, one does."""
    settings = UNHURRIED if target.table.kind == "p" else CONCURRENT
    async with sole_builder(connection, target.table), applied(connection, settings):
        for index in await _indexes(connection, target):
            if _configured(target).equals(index):
                await drop_index(connection, f"{index.schema}.{index.name}")


async def build_index(db: Handle, target: Target, progress: Progress) -> VectorIndex:
    """Create the configured index, where workers that end together have not."""

    def show(build: BuildProgress) -> None:
        progress(BackfillProgress(f"index: {build.phase}", build.done, build.total))

    create = create_hnsw_index if embedding_config.use_hnsw_index else create_ivfflat_index
    return await create(db, target.table.sql, target.embedding.name, progress=show)


def _configured(target: Target) -> IndexDefinition:
    """What the functions that create an index make without further arguments."""
    table, column, cosine = target.table, target.embedding, metric_named("cosine")
    config = embedding_config
    if config.use_hnsw_index:
        options = {"m": config.hnsw_m, "ef_construction": config.hnsw_ef_construction}
        return IndexDefinition(table, column, "hnsw", cosine, False, options)
    return IndexDefinition(table, column, "ivfflat", cosine, False, {"lists": 100})


async def _indexes(connection: Connection, target: Target) -> list[VectorIndex]:
    found = await vector_indexes(connection, target.table.oid)
    return [index for index in found if index.column == target.embedding.name]
