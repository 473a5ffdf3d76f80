"""Creating, listing and dropping HNSW and IVFFlat indexes."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal

import asyncpg

from vla_embeddings.config import embedding_config
from vla_embeddings.errors import InvalidInput, SearchError, UnknownName
from vla_embeddings.search.building import (
    BUILD_SECONDS,
    BuildProgress,
    build,
    drop_invalid,
    keeps_session,
    reporting,
    sole_builder,
)
from vla_embeddings.search.catalog import VectorIndex, forget, quoted, resolve, vector_indexes
from vla_embeddings.search.definition import IndexDefinition
from vla_embeddings.search.handles import Connection, Handle, connected, opens_connections
from vla_embeddings.search.metric import MetricName, metric_named

logger = logging.getLogger(__name__)

Progress = Callable[[BuildProgress], None]

# MB given to a build where the caller does not say; PostgreSQL's own default is 64.
MAX_DEFAULT_MEMORY = 1024
MIN_DEFAULT_MEMORY = 64

# IVFFlat learns its lists from the rows there are; below this many a list they are arbitrary.
MIN_ROWS_PER_LIST = 30


async def create_hnsw_index(
    db: Handle,
    table: str,
    embedding_column: str,
    m: int | None = None,
    ef_construction: int | None = None,
    distance_metric: MetricName = "cosine",
    *,
    half: bool = False,
    concurrently: bool | None = None,
    memory_mb: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> VectorIndex:
    """Build an HNSW index, unless an equal one is there.

    An invalid leftover of a build that broke off is removed and built anew. Two builders on one
    table wait for each other. A cancelled or failed build leaves nothing behind.

    Args:
        m: links of each vector, 2 to 100; by default `embedding_config.hnsw_m`.
        ef_construction: candidates weighed while linking, 2 m to 1,000; by default
            `embedding_config.hnsw_ef_construction`.
        distance_metric: "cosine", "euclidean" or "inner_product"; searches by another distance
            do not use it.
        half: index `vector` in half precision: half the size, and results are still scored in
            full.
        concurrently: let others write meanwhile. By default so, but not in an open transaction,
            which cannot; there, the index is the transaction's.
        memory_mb: maintenance_work_mem of this build; by default what the graph needs, from 64
            to 1,024 MB.
        workers: parallel workers of this build; by default the server's
            max_parallel_maintenance_workers.
        progress: called a few times a second, where `db` can open a second connection.

    Returns:
        The index.

    Raises:
        UnknownName: a table or column that does not exist.
        InvalidInput: an option out of range, or a column that cannot be indexed.
        SearchError: another definition is in the way, or the server cannot do it.
        DatabaseUnavailable: the server cannot be reached, or the connection was lost.
    """
    return await _create(
        db,
        table,
        embedding_column,
        method="hnsw",
        options={
            "m": embedding_config.hnsw_m if m is None else m,
            "ef_construction": embedding_config.hnsw_ef_construction
            if ef_construction is None
            else ef_construction,
        },
        distance_metric=distance_metric,
        half=half,
        concurrently=concurrently,
        memory_mb=memory_mb,
        workers=workers,
        progress=progress,
    )


async def create_ivfflat_index(
    db: Handle,
    table: str,
    embedding_column: str,
    lists: int = 100,
    distance_metric: MetricName = "cosine",
    *,
    half: bool = False,
    concurrently: bool | None = None,
    memory_mb: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> VectorIndex:
    """Build an IVFFlat index, unless an equal one is there; build it once the rows are in.

    As `create_hnsw_index`, but for `lists`, 1 to 32,768. pgvector's README advises rows / 1000
    up to a million rows and the square root of the rows beyond.
    """
    return await _create(
        db,
        table,
        embedding_column,
        method="ivfflat",
        options={"lists": lists},
        distance_metric=distance_metric,
        half=half,
        concurrently=concurrently,
        memory_mb=memory_mb,
        workers=workers,
        progress=progress,
    )


async def list_indexes(db: Handle, table: str | None = None) -> list[VectorIndex]:
    """The HNSW and IVFFlat indexes of one table, or of the whole database.

    Raises:
        UnknownName: no such table.
        DatabaseUnavailable: the server cannot be reached, or the connection was lost.
    """
    async with connected(db) as connection:
        forget()  # what is remembered may be a table of this name that is no more
        oid = None if table is None else (await resolve(connection, table)).oid
        return list(await vector_indexes(connection, oid))


async def drop_index(db: Handle, name: str, *, concurrently: bool | None = None) -> VectorIndex:
    """Drop one HNSW or IVFFlat index, named `index` or `schema.index`.

    Args:
        concurrently: as in `create_hnsw_index`.

    Returns:
        What it was.

    Raises:
        UnknownName: there is no such vector index; the message lists those there are.
        InvalidInput: indexes of several schemas have this name.
        SearchError, DatabaseUnavailable: as everywhere.
    """
    async with connected(db, writing=concurrently is False) as connection:
        indexes = await vector_indexes(connection)
        found = [
            index for index in indexes if name in (index.name, f"{index.schema}.{index.name}")
        ]
        if not found:
            names = ", ".join(index.name for index in indexes) or "none"
            raise UnknownName(f"There is no vector index {name!r}; there are: {names}.")
        if len(found) > 1:
            schemas = ", ".join(index.schema for index in found)
            raise InvalidInput(f"{name} is in several schemas ({schemas}); say schema.{name}.")
        if concurrently is None:
            concurrently = not connection.is_in_transaction()
        await connection.execute(
            f"DROP INDEX {'CONCURRENTLY ' if concurrently else ''}"
            f"{quoted(found[0].schema)}.{quoted(found[0].name)}",
            timeout=BUILD_SECONDS,
        )
    forget()
    return found[0]


async def _create(
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
    metric = metric_named(distance_metric)
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
        scope = nullcontext() if concurrently else connection.transaction()
        async with scope, sole_builder(connection, target):
            if (equal := await _equal(connection, definition)) is not None:
                return equal
            await drop_invalid(connection, definition)
            settings = await _build_settings(connection, definition, memory_mb, workers)
            watcher = progress if opens_connections(db) else None
            async with reporting(db, target, watcher):
                await _build(connection, definition, concurrently, settings)
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


async def _build(
    connection: Connection,
    definition: IndexDefinition,
    concurrently: bool,
    settings: dict[str, str],
) -> None:
    try:
        await build(connection, definition, concurrently=concurrently, settings=settings)
    except asyncpg.DiskFullError as error:
        # Parallel workers share the graph in /dev/shm, which containers often keep at 64 MB.
        if "shared memory" not in str(error):
            raise
        logger.warning("%s; building without parallel workers", error)
        alone = {**settings, "max_parallel_maintenance_workers": "0"}
        await build(connection, definition, concurrently=concurrently, settings=alone)


async def _build_settings(
    connection: Connection,
    definition: IndexDefinition,
    memory_mb: int | None,
    workers: int | None,
) -> dict[str, str]:
    for name, value, least in (("memory_mb", memory_mb, 1), ("workers", workers, 0)):
        if value is not None and (type(value) is not int or value < least):
            raise InvalidInput(f"{name} must be a whole number from {least}; got {value!r}.")
    rows = await connection.fetchval(
        f"SELECT count({definition.column.sql}) FROM {definition.table.sql}", timeout=BUILD_SECONDS
    )
    lists = definition.options.get("lists", 0)
    if rows < MIN_ROWS_PER_LIST * lists:
        logger.warning(
            "An IVFFlat index of %d lists over %d rows will find little; build it after the "
            "rows are in, or with fewer lists",
            lists,
            rows,
        )
    needed = definition.build_megabytes(rows)
    given = memory_mb or max(MIN_DEFAULT_MEMORY, min(needed, MAX_DEFAULT_MEMORY))
    if given < needed:
        logger.warning(
            "The index needs about %d MB to be built fast and is given %d; see memory_mb",
            needed,
            given,
        )
    settings = {"maintenance_work_mem": f"{given}MB", "statement_timeout": "0"}
    if workers is not None:
        settings["max_parallel_maintenance_workers"] = str(workers)
    return settings
