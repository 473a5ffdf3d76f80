"""One search from request to rows, whatever its distance."""

import logging
import time
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import asyncpg
import numpy as np
from pgvector import HalfVector
from pgvector import Vector as PgVector
from prometheus_client import Histogram

from vla_embeddings.config import embedding_config
from vla_embeddings.errors import InvalidInput
from vla_embeddings.metrics import SEARCH_RESULTS, SEARCH_SECONDS
from vla_embeddings.search.binding import fetch
from vla_embeddings.search.catalog import Column, Table, has_changed, resolve
from vla_embeddings.search.filters import Filters, filtered
from vla_embeddings.search.fingerprint import check_fingerprint
from vla_embeddings.search.handles import Connection, Handle, connected, savepoint
from vla_embeddings.search.metric import Metric, MetricName
from vla_embeddings.search.statement import Nearest
from vla_embeddings.search.tuning import check_overrides
from vla_embeddings.search.vectors import Vector, checked

logger = logging.getLogger(__name__)

Row: TypeAlias = dict[str, Any]

MAX_TOP_K = 10_000

# Where the table is not as it was when it was looked up; but a filter may be wrong as well.
_MAY_HAVE_CHANGED = (
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,  # of the type that a column had
    asyncpg.UndefinedTableError,
    asyncpg.InvalidCachedStatementError,
)


@dataclass(frozen=True)
class SearchRequest:
    """What one search was asked for."""

    table: str
    embedding_column: str
    query_embedding: Vector
    metric: Metric
    top_k: int | None
    limit: float
    filters: Filters | None
    columns: Sequence[str] | None
    exact: bool
    ef_search: int | None
    probes: int | None
    fingerprint: str | None


async def search(db: Handle, request: SearchRequest) -> list[Row]:
    started = time.perf_counter()
    top_k = checked_top_k(request.top_k)
    check_overrides(request.ef_search, request.probes)
    named = (request.embedding_column, *_listed(request.columns), *filtered(request.filters))
    async with connected(db) as connection:
        try:
            nearest, records = await _found(connection, request, top_k, named)
        except _MAY_HAVE_CHANGED as error:
            prepared_before = isinstance(error, asyncpg.InvalidCachedStatementError)
            if not await has_changed(connection, request.table) and not prepared_before:
                raise
            nearest, records = await _found(connection, request, top_k, named)
    rows = _rows(records, nearest, request.limit)
    seconds = time.perf_counter() - started
    seconds_of, results_of = _histograms(request.metric.name)
    seconds_of.observe(seconds)
    results_of.observe(len(rows))
    logger.info(
        "Found %d similar %s with %s %s %s",
        len(rows),
        _noun(request.table, request.embedding_column),
        request.metric.score,
        request.metric.sign,
        request.limit,
        extra={"table": nearest.table.sql, "results": len(rows), "seconds": seconds},
    )
    return rows


async def _found(
    connection: Connection, request: SearchRequest, top_k: int, named: tuple[str, ...]
) -> tuple[Nearest, list[asyncpg.Record]]:
    table = await resolve(connection, request.table, named)
    column = table.vector_column(request.embedding_column)
    check_fingerprint(table, column, request.fingerprint)
    nearest = Nearest(
        table=table,
        column=column,
        metric=request.metric,
        query=checked(request.query_embedding, column, what="query_embedding"),
        top_k=top_k,
        filters=request.filters,
        columns=_wanted_columns(table, request.columns, request.metric),
    )
    async with settings_undone(connection):
        return nearest, await _records(connection, nearest, request)


@cache
def _histograms(metric: MetricName) -> tuple[Histogram, Histogram]:
    """Those of one metric; `labels` would take a lock and build a key for each search."""
    return SEARCH_SECONDS.labels(metric), SEARCH_RESULTS.labels(metric)


async def _records(
    connection: Connection, nearest: Nearest, request: SearchRequest
) -> list[asyncpg.Record]:
    if nearest.can_ask_index and not request.exact:
        indexed = nearest.indexed(ef_search=request.ef_search, probes=request.probes)
        records = await fetch(connection, *indexed)
        if len(records) >= nearest.top_k or _reached(records, nearest, request.limit):
            return records
        logger.debug(
            "The index gave %d of %d rows; searching without it", len(records), nearest.top_k
        )
    return await fetch(connection, *nearest.exact())


def _reached(records: list[asyncpg.Record], nearest: Nearest, limit: float) -> bool:
    """Whether a row is past `limit`, so that what is missing would be past it too.

    A row without a distance comes after all others, and never from an index. Of a partitioned
    table each partition has a scan of its own: that one is past the limit says nothing of the
    others.
    """
    if nearest.table.kind == "p":
        return False
    metric = nearest.metric
    distances = [record[len(nearest.columns)] for record in records]
    return any(d is None or not metric.passes(metric.score_of(d), limit) for d in distances)


def settings_undone(connection: Connection) -> AbstractAsyncContextManager[None]:
    """What is set inside ends here, and a failure inside spares the caller's transaction.

    Without an open transaction a local setting ends with its statement, and nothing is needed.
    """
    return savepoint(connection, keep=False) if connection.is_in_transaction() else nullcontext()


def _rows(records: list[asyncpg.Record], nearest: Nearest, limit: float) -> list[Row]:
    width, metric = len(nearest.columns), nearest.metric
    names = [column.name for column in nearest.columns]
    vectors = [column for column in nearest.columns if column.vector_type]
    rows: list[Row] = []
    for record in records:
        distance = record[width]
        if distance is None or not metric.passes(score := metric.score_of(distance), limit):
            continue
        row = dict(zip(names, record, strict=False))
        for column in vectors:
            row[column.name] = decoded(row[column.name], column)
        row[metric.score] = score
        rows.append(row)
    return rows[: nearest.top_k]


def decoded(value: Any, column: Column) -> Any:
    """A vector's binary form as a float32 array; None stays."""
    if value is None:
        return None
    decode = PgVector if column.vector_type == "vector" else HalfVector
    return decode.from_binary(value).to_numpy().astype(np.float32)


def _listed(columns: Sequence[str] | None) -> tuple[str, ...]:
    if columns is None:
        return ()
    is_list = isinstance(columns, Collection) and not isinstance(columns, str)
    if not is_list or not all(isinstance(name, str) for name in columns):
        raise InvalidInput(f"columns must be a list of names; got {columns!r}.")
    return tuple(columns)


def _wanted_columns(
    table: Table, names: Sequence[str] | None, metric: Metric
) -> tuple[Column, ...]:
    if names is None:
        return tuple(
            column
            for column in table.columns.values()
            if not column.vector_type and column.name != metric.score
        )
    if metric.score in names:
        raise InvalidInput(
            f"columns: a row's {metric.score!r} is its score, so the column of this name cannot "
            "be in it. Search a view that gives it another name; without the table's indexes, "
            "that compares all rows."
        )
    return tuple(
        table.vector_column(name) if table.column(name).vector_type else table.column(name)
        for name in names
    )


def checked_top_k(top_k: int | None) -> int:
    """The number of rows to ask for, by default the configured; InvalidInput out of range."""
    if top_k is None:
        return embedding_config.similarity_top_k
    if type(top_k) is not int or not 1 <= top_k <= MAX_TOP_K:
        raise InvalidInput(f"top_k must be a whole number from 1 to {MAX_TOP_K:,}; got {top_k!r}.")
    return top_k


def _noun(table: str, column: str) -> str:
    for noun in ("instruction", "image"):
        if noun in table or noun in column:
            return f"{noun}s"
    return "rows"
