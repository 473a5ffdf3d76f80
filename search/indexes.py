"""Creating, listing and dropping HNSW and IVFFlat indexes."""

from vla_embeddings.config import embedding_config
from vla_embeddings.errors import InvalidInput, UnknownName
from vla_embeddings.search.building import drop
from vla_embeddings.search.catalog import VectorIndex, forget, resolve, vector_indexes
from vla_embeddings.search.catalog_queries import WHOLE_INDEX
from vla_embeddings.search.creating import Progress, create_index
from vla_embeddings.search.definition import DEFAULT_LISTS
from vla_embeddings.search.handles import Handle, connected
from vla_embeddings.search.metric import MetricName


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
    table wait for each other. A cancelled or failed build leaves nothing behind, but for the
    partitions that are done: of a partitioned table each is indexed in turn, and the next build
    goes on with the rest.

    Args:
        m: links of each vector, 2 to 100; by default `embedding_config.hnsw_m`.
        ef_construction: candidates weighed while linking, 2 m to 1,000; by default
            `embedding_config.hnsw_ef_construction`.
        distance_metric: "cosine", "euclidean" or "inner_product"; searches by another distance
            do not use it.
        half: index `vector` in half precision: half the size, and results are still scored in
            full.
        concurrently: let others write meanwhile. By default so, but not in an open transaction,
            which cannot; there, the index is the transaction's. Writes to a partitioned table
            wait for a moment at the end.
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
    return await create_index(
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
    lists: int = DEFAULT_LISTS,
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
    return await create_index(
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

    Ended by a cancellation, a timeout or a lost connection, it may leave the index invalid, which
    no search uses; drop it again.

    Args:
        concurrently: as in `create_hnsw_index`; a partitioned table's index cannot be dropped
            so, but in a moment.

    Returns:
        What it was.

    Raises:
        UnknownName: there is no such vector index, and the message lists those there are; or it
            is one partition's part of an index, which the message names.
        InvalidInput: indexes of several schemas have this name.
        SearchError, DatabaseUnavailable: as everywhere.
    """
    async with connected(db, writing=concurrently is False) as connection:
        indexes = await vector_indexes(connection)
        found = [
            index for index in indexes if name in (index.name, f"{index.schema}.{index.name}")
        ]
        if not found:
            if (whole := await connection.fetchval(WHOLE_INDEX, name)) is not None:
                raise UnknownName(
                    f"{name} is no index of its own, but one partition's part of {whole}. Drop "
                    f"that: drop_index(db, {whole!r})."
                )
            names = ", ".join(index.name for index in indexes) or "none"
            raise UnknownName(f"There is no vector index {name!r}; there are: {names}.")
        if len(found) > 1:
            schemas = ", ".join(index.schema for index in found)
            raise InvalidInput(f"{name} is in several schemas ({schemas}); say schema.{name}.")
        await drop(connection, found[0], concurrently=concurrently)
    forget()
    return found[0]
