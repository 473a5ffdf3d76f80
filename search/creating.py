"""From what an index should be to a valid index, whatever is there already."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import asyncpg

from vla_embeddings.errors import InvalidInput, SearchError
from vla_embeddings.search.building import (
    BUILD_SECONDS,
    CONCURRENT,
    UNHURRIED,
    BuildProgress,
    applied,
    build,
    drop_invalid,
    reporting,
    sole_builder,
)
from vla_embeddings.search.catalog import (
    VectorIndex,
    forget,
    partitions,
    resolve,
    vector_indexes,
)
from vla_embeddings.search.definition import IndexDefinition
from vla_embeddings.search.handles import (
    Connection,
    Handle,
    atomic,
    connected,
    keeps_session,
    opens_connections,
)
from vla_embeddings.search.metric import MetricName, metric_named

logger = logging.getLogger(__name__)

Progress = Callable[[BuildProgress], None]

# MB given to a build where the caller does not say; PostgreSQL's own default is 64.
MAX_DEFAULT_MEMORY = 1024
MIN_DEFAULT_MEMORY = 64

# IVFFlat learns its lists from the rows there are; below this many a list they are arbitrary.
MIN_ROWS_PER_LIST = 30


@dataclass(frozen=True)
class Resources:
    """What a build may use: maintenance_work_mem in MB, and parallel workers; None to choose.

    Raises:
        InvalidInput: a number out of range.
    """

    memory_mb: int | None
    workers: int | None

    def __post_init__(self) -> None:
        for name, value, least in (("memory_mb", self.memory_mb, 1), ("workers", self.workers, 0)):
            if value is not None and (type(value) is not int or value < least):
                raise InvalidInput(f"{name} must be a whole number from {least}; got {value!r}.")

    def settings(self, definition: IndexDefinition, rows: int) -> dict[str, str]:
        """The server's settings for a build over `rows`; warns where they are too low."""
        needed = definition.build_megabytes(rows)
        given = self.memory_mb or max(MIN_DEFAULT_MEMORY, min(needed, MAX_DEFAULT_MEMORY))
        if given < needed:
            logger.warning(
                "The index needs about %d MB to be built fast and is given %d; see memory_mb",
                needed,
                given,
            )
        settings = {"maintenance_work_mem": f"{given}MB"}
        if self.workers is not None:
            settings["max_parallel_maintenance_workers"] = str(self.workers)
        return settings


async def create_index(
    db: Handle,
    table: str,
    embedding_column: str,
    *,
    method: Literal["hnsw", "ivfflat"],
    options: dict[str, int],
    distance_metric: MetricName,
    half: bool,
    concurrently: bool | None,
    memory_mb: int | None,
    workers: int | None,
    progress: Progress | None,
) -> VectorIndex:
    """As `create_hnsw_index` says, for either method."""
    metric, resources = metric_named(distance_metric), Resources(memory_mb, workers)
    async with connected(db, writing=concurrently is False) as connection:
        forget()  # what is remembered may be a table of this name that is no more
        target = await resolve(connection, table, (embedding_column,))
        column = target.vector_column(embedding_column)
        definition = IndexDefinition(target, column, method, metric, half, options)
        if concurrently is None:
            concurrently = not connection.is_in_transaction()
        pooled = concurrently and not await keeps_session(connection)
        if pooled and (equal := await _equal(connection, definition)) is not None:
            return equal
        scope = nullcontext() if concurrently else atomic(connection)
        async with scope, sole_builder(connection, target):
            if (equal := await _equal(connection, definition)) is not None:
                return equal
            watcher = progress if opens_connections(db) else None
            settings = CONCURRENT if concurrently and target.kind != "p" else UNHURRIED
            async with applied(connection, settings), reporting(db, target, watcher):
                await drop_invalid(connection, definition)
                if concurrently and target.kind == "p":
                    await _build_by_partition(connection, definition, resources)
                else:
                    await _build(connection, definition, resources, concurrently=concurrently)
        forget()
        built = await _equal(connection, definition)
    if built is None:
        raise SearchError(f"{definition.name} was dropped while it was built.")
    logger.info("Built %s (%.1f MB)", built.name, built.size_bytes / 2**20)
    return built


async def _equal(connection: Connection, definition: IndexDefinition) -> VectorIndex | None:
    """The valid index that `definition` asks for; SearchError where another is in its place."""
    rivals = [
        index
        for index in await vector_indexes(connection, definition.table.oid)
        if definition.rivals(index)
    ]
    for index in rivals:
        if index.state == "valid" and definition.equals(index):
            return index
    for index in rivals:
        if index.state != "invalid":
            raise SearchError(
                f"{definition.table.sql}.{definition.column.sql} already has the index "
                f"{index.name} ({index.state}): {index.definition}. Asked for was: "
                f"{definition.create_statement(concurrently=False)}. Drop it first: "
                f"drop_index(db, {index.name!r})."
            )
    return None


async def _build_by_partition(
    connection: Connection, definition: IndexDefinition, resources: Resources
) -> None:
    """Index each partition while it stays in use; then the whole, which adopts what is there.

    PostgreSQL cannot do so by itself: CONCURRENTLY is not for partitioned tables.
    """
    async with applied(connection, CONCURRENT):
        for partition in await partitions(connection, definition.table):
            part = replace(definition, table=partition)
            if await _equal(connection, part) is None:
                await drop_invalid(connection, part)
                await _build(connection, part, resources, concurrently=True)
    await build(connection, definition, concurrently=False, settings={})


async def _build(
    connection: Connection,
    definition: IndexDefinition,
    resources: Resources,
    *,
    concurrently: bool,
) -> None:
    rows = await _count(connection, definition)
    settings = resources.settings(definition, rows)
    try:
        await build(connection, definition, concurrently=concurrently, settings=settings)
    except asyncpg.DiskFullError as error:
        # Parallel workers share the graph in /dev/shm, which containers often keep at 64 MB.
        if "shared memory" not in str(error):
            raise
        logger.warning("%s; building without parallel workers", error)
        alone = {**settings, "max_parallel_maintenance_workers": "0"}
        await build(connection, definition, concurrently=concurrently, settings=alone)


async def _count(connection: Connection, definition: IndexDefinition) -> int:
    """The vectors to be indexed; warns where they are too few to learn lists from."""
    table, column = definition.table, definition.column
    rows: int = await connection.fetchval(
        f"SELECT count({column.sql}) FROM {table.sql}", timeout=BUILD_SECONDS
    )
    lists = definition.options.get("lists", 0)
    if rows < MIN_ROWS_PER_LIST * lists:
        logger.warning(
            "An IVFFlat index of %d lists over %d rows will find little; build it after the "
            "rows are in, or with fewer lists",
            lists,
            rows,
        )
    return rows
