"""Storing vectors: one row, rows that exist, new rows."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeAlias, cast
from uuid import UUID

from vla_embeddings.errors import InvalidInput
from vla_embeddings.search.binding import Parameters, fetch, is_single, plain
from vla_embeddings.search.catalog import Column, Table, resolve
from vla_embeddings.search.copying import Rows, copy_rows
from vla_embeddings.search.fingerprint import claim_column
from vla_embeddings.search.handles import Handle, atomic, connected, has_free_connection
from vla_embeddings.search.pipeline import Turn, store_in_order
from vla_embeddings.search.staging import may_stage_early, update_rows
from vla_embeddings.search.vectors import Vector, checked, checked_matrix

Item: TypeAlias = Mapping[str, object]
Items: TypeAlias = Iterable[Item] | AsyncIterable[Item]
IdColumn: TypeAlias = str | Sequence[str]
"""The column that identifies a row, or the several that do together; an id is then a tuple."""

CHUNK_ROWS = 4000


async def index_embedding(
    db: Handle,
    table: str,
    id_column: IdColumn,
    id_value: object,
    embedding_column: str,
    embedding: Vector | None,
    *,
    fingerprint: str | None = None,
    force: bool = False,
) -> bool:
    """Store one vector in the row with this id; None clears it.

    Args:
        id_column: one column, or several that identify a row together, such as the primary key
            of a partitioned table; `id_value` is then a tuple of as many values.
        embedding: array or sequence of shape (d,), d as in the column.
        fingerprint: what made the vector. The column remembers it, and vectors of another are
            then refused.
        force: write all the same, and remember this fingerprint from now on.

    Returns:
        Whether a row has the id. In the caller's transaction, the caller's commit decides.

    Raises:
        UnknownName: a table or column that does not exist.
        DimensionMismatch, InvalidInput: a vector or id that cannot be used.
        SearchError: the server cannot do it, or the column holds another model's vectors.
        DatabaseUnavailable: the server cannot be reached, or the connection was lost.
    """
    async with connected(db, writing=True) as connection:
        target = await resolve(connection, table, (*_names(id_column), embedding_column))
        column = target.vector_column(embedding_column)
        keys = _keys(target, id_column)
        parameters, value = Parameters(), "NULL"
        if embedding is not None:
            numbers = checked(embedding, column, what=f"embedding of {id_column} {id_value!r}")
            value = f"{parameters.bind_vector(numbers, column)}::{column.type}"
        ids = _id_columns([_id(id_value, id_column)], id_column)
        condition = " AND ".join(
            f"t.{key.sql} = {parameters.bind(value, key)}"
            for key, [value] in zip(keys, ids, strict=True)
        )
        await claim_column(connection, target, column, fingerprint, force=force)
        changed = await fetch(
            connection,
            f"UPDATE {target.sql} AS t SET {column.sql} = {value} "
            f"WHERE {condition} RETURNING true",
            parameters,
        )
    return bool(changed)


async def batch_index_embeddings(
    db: Handle,
    table: str,
    id_column: IdColumn,
    embedding_column: str,
    embeddings: Items,
    *,
    chunk_rows: int = CHUNK_ROWS,
    fingerprint: str | None = None,
    force: bool = False,
) -> int:
    """Store many vectors in rows that exist.

    Each chunk is checked as a whole before any of it is sent, and written as a whole or not at
    all, one after the other. A pool that has a second connection free makes the next one ready on
    it meanwhile, unless the column has a vector index. An id that comes twice keeps its last
    vector. Ids without a row are not counted and are named in a warning. The rows of one chunk are
    written by ascending id where those are whole numbers or UUIDs, so writers of the same rows
    mostly wait for each other in turn; the server may choose another order, and fail one of two.

    Args:
        id_column: as in `index_embedding`.
        embeddings: `{"id": ..., "embedding": ...}` each, from any iterable or async iterable.
        chunk_rows: rows of one chunk, 1 to 100,000.

    Returns:
        How many rows were changed.

    Raises:
        As `index_embedding`; the message names the row's place and id, or the value that its
        column cannot hold. Chunks before it stay written, unless the caller's transaction is
        rolled back.
    """
    early = False  # whether the next chunk may be staged while this one is stored

    async def store(chunk: _Chunk, turn: Turn) -> int:
        nonlocal early
        given, embeddings_given = _parted(chunk)
        ids = [_id(value, id_column) for value in given]
        last = _in_one_order({row_id: place for place, row_id in enumerate(ids)}, id_column)
        async with connected(db, writing=True) as connection:
            target = await resolve(connection, table, (*_names(id_column), embedding_column))
            column = target.vector_column(embedding_column)
            name = _row_name(chunk.start, ids)
            vectors = checked_matrix(embeddings_given, column, name=name)
            early = await may_stage_early(connection, target, column)
            await claim_column(connection, target, column, fingerprint, force=force, turn=turn)
            keys, places = _keys(target, id_column), list(last.values())
            if places != list(range(len(ids))):
                vectors = vectors[places]
            rows = Rows(
                keys, _id_columns(last, id_column), column, vectors, lambda n: name(places[n])
            )
            return await update_rows(connection, target, rows, turn=turn)

    return await store_in_order(
        _chunks(embeddings, chunk_rows),
        store,
        may_overlap=lambda: early and has_free_connection(db),
    )


async def insert_embeddings(
    db: Handle,
    table: str,
    embedding_column: str,
    rows: Items,
    *,
    chunk_rows: int = CHUNK_ROWS,
    fingerprint: str | None = None,
    force: bool = False,
) -> int:
    """Insert new rows with their vectors.

    Args:
        rows: `{column: value, ...}` each, `embedding_column` among them; all with the keys of
            the first. Columns left out get their default. Columns of array types cannot be
            filled here, nor views, nor tables whose row-level security applies to the role:
            COPY takes neither.
        chunk_rows: rows of one chunk, 1 to 100,000; a chunk is inserted whole or not at all.

    Returns:
        How many rows were inserted.

    Raises:
        As `batch_index_embeddings`.
    """
    inserted = 0
    async for chunk, start in _chunks(rows, chunk_rows):
        name = _row_name(start)
        fields = _fields(chunk, name, embedding_column)
        async with connected(db, writing=True) as connection:
            target = await resolve(connection, table, (embedding_column, *fields))
            column = target.vector_column(embedding_column)
            vectors = checked_matrix([row[embedding_column] for row in chunk], column, name=name)
            await claim_column(connection, target, column, fingerprint, force=force)
            columns = [target.scalar_column(field) for field in fields]
            values = [[row[field] for row in chunk] for field in fields]
            new = Rows(columns, values, column, vectors, name)
            async with atomic(connection):
                inserted += await copy_rows(connection, target.schema, target.name, new)
    return inserted


class _Chunk(NamedTuple):
    """Some items, and the place of the first in the whole."""

    items: list[Item]
    start: int


async def _chunks(items: Items, size: int) -> AsyncIterator[_Chunk]:
    if type(size) is not int or not 1 <= size <= 100_000:
        raise InvalidInput(f"chunk_rows must be a whole number from 1 to 100,000; got {size!r}.")
    start = 0
    async for chunk in _batches(items, size):
        yield _Chunk(chunk, start)
        start += len(chunk)


async def _batches(items: Items, size: int) -> AsyncIterator[list[Item]]:
    batch: list[Item] = []
    if isinstance(items, AsyncIterable):
        async for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    elif isinstance(items, Iterable):
        iterator = iter(items)
        while len(batch := list(islice(iterator, size))) == size:
            yield batch
    else:
        raise InvalidInput(f"Expected an iterable of rows; got {type(items).__name__}.")
    if batch:
        yield batch


def _parted(chunk: _Chunk) -> tuple[list[object], list[object]]:
    """The ids and the vectors of a chunk's items."""
    ids: list[object] = []
    vectors: list[object] = []
    for place, item in enumerate(chunk.items, chunk.start):
        try:
            row_id, vector = item["id"], item["embedding"]
        except (KeyError, TypeError, IndexError):
            raise InvalidInput(
                f'row {place}: expected {{"id": ..., "embedding": ...}}; got {item!r}.'
            ) from None
        ids.append(row_id)
        vectors.append(vector)
    return ids, vectors


def _id(value: object, id_column: IdColumn) -> object:
    """One value, or a tuple with one for each of the columns.

    Of one column it is no tuple: as many new containers as rows would make Python search all of
    the caller's objects for garbage, which takes longer than a chunk.
    """
    if isinstance(id_column, str):
        return _single(value)
    names = _names(id_column)
    if not isinstance(value, (tuple, list)) or len(value) != len(names):
        raise InvalidInput(f"An id must be a tuple ({', '.join(names)}); got {value!r}.")
    return tuple(map(_single, value))


def _in_one_order(last: dict[Any, int], id_column: IdColumn) -> dict[Any, int]:
    """`last` by ascending id, the order in which a plan that reads the chunk first locks its rows.

    Two writers that lock in other orders may wait for each other, which the server ends by failing
    one. Left as it is where ids may be equal to the server alone: the order then says which vector
    wins.
    """
    columns = [_ranks(values) for values in _id_columns(last, id_column)]
    if not all(columns):
        return last
    ordered = sorted(zip(*columns, last.items(), strict=True))
    return dict(item for *_, item in ordered)


def _ranks(values: Sequence[object]) -> Sequence[int]:
    """Numbers in the order of whole numbers or UUIDs; none where they are something else."""
    if all(isinstance(value, int) for value in values):
        return cast(Sequence[int], values)
    uuids = [value.int for value in values if isinstance(value, UUID)]
    return uuids if len(uuids) == len(values) else ()


def _id_columns(ids: Iterable[Any], id_column: IdColumn) -> list[list[object]]:
    """The values of each column, of ids as `_id` makes them."""
    if isinstance(id_column, str):
        return [list(ids)]
    return [list(values) for values in zip(*ids, strict=True)]


def _single(value: object) -> object:
    value = plain(value)
    try:
        hash(value)
    except TypeError:
        known = False
    else:
        known = value is not None and is_single(value)
    if not known:
        raise InvalidInput(f"An id must be a single value; got {value!r}.")
    return value


def _names(id_column: IdColumn) -> Sequence[str]:
    if isinstance(id_column, str):
        return (id_column,)
    if not isinstance(id_column, list | tuple) or not id_column:
        raise InvalidInput(f"id_column must name a column, or several; got {id_column!r}.")
    return id_column


def _keys(table: Table, id_column: IdColumn) -> list[Column]:
    return [table.scalar_column(name) for name in _names(id_column)]


def _row_name(start: int, ids: Sequence[object] | None = None) -> Callable[[int], str]:
    """Names a chunk's rows for messages; `start` is the place of the first in the whole."""

    def name(place: int) -> str:
        known = f" (id {ids[place]!r})" if ids is not None else ""
        return f"row {start + place}{known}"

    return name


def _fields(rows: Sequence[Item], name: Callable[[int], str], embedding_column: str) -> list[str]:
    """The columns of every row but the embedding's; InvalidInput where rows differ."""
    first = rows[0].keys() if isinstance(rows[0], Mapping) else None
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping) or row.keys() != first or embedding_column not in row:
            raise InvalidInput(
                f"{name(place)}: expected a mapping with {embedding_column!r} and the other "
                f"columns of the first row; got {row!r}."
            )
    return [field for field in rows[0] if field != embedding_column]
