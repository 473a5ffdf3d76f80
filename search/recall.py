"""How much of the truth an index finds, on the user's own rows."""

import math
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

import asyncpg
import numpy as np
from numpy.typing import NDArray

from vla_embeddings.errors import InvalidInput, SearchError
from vla_embeddings.search.binding import Parameters, fetch
from vla_embeddings.search.catalog import Column, Table, resolve
from vla_embeddings.search.engine import checked_top_k, decoded, settings_undone
from vla_embeddings.search.handles import Connection, Handle, connected
from vla_embeddings.search.metric import COSINE, MetricName, metric_named
from vla_embeddings.search.statement import Nearest
from vla_embeddings.search.tuning import check_overrides
from vla_embeddings.search.vectors import Vector, checked_matrix

DEFAULT_EFFORTS: dict[str, tuple[int, ...]] = {
    "hnsw": (20, 40, 100, 200, 400),
    "ivfflat": (1, 3, 10, 32),
}

T = TypeVar("T")

# Two computations of one distance may differ in their last bits.
_SAME_DISTANCE = 1e-6


@dataclass(frozen=True)
class RecallPoint:
    """Recall and latency at one setting of an index.

    `recall` is the share of the exact answer's rows, by distance, that the index found;
    `p50_ms` and `exact_p50_ms` are the medians over the queries, of the query alone.
    """

    method: Literal["hnsw", "ivfflat"]
    effort: int
    recall: float
    p50_ms: float
    exact_p50_ms: float


async def measure_recall(
    db: Handle,
    table: str,
    embedding_column: str,
    *,
    distance_metric: MetricName = "cosine",
    top_k: int | None = None,
    efforts: Iterable[int] | None = None,
    queries: Iterable[Vector] | NDArray[np.floating] | None = None,
    sample: int = 100,
) -> list[RecallPoint]:
    """Compare searches through the column's index with exact ones.

    Args:
        efforts: values of `ef_search` (HNSW) or `probes` (IVFFlat) to try; by default
            `DEFAULT_EFFORTS`.
        queries: array of shape (n, d), or any iterable of vectors; by default those of `sample`
            random rows, each of which finds itself, so that real queries do a little worse.

    Returns:
        One point an effort, in their order.

    Raises:
        SearchError: there is no valid index for this distance, or no row to take as query.
        Others: as `cosine_similarity_search`.
    """
    metric, rows = metric_named(distance_metric), checked_top_k(top_k)
    if type(sample) is not int or sample < 1:
        raise InvalidInput(f"sample must be a whole number from 1; got {sample!r}.")
    chosen = None if efforts is None else _listed(efforts, "efforts")
    given = None if queries is None else _listed(queries, "queries")
    if given == []:
        raise InvalidInput("queries must hold at least one vector.")
    async with connected(db) as connection:
        target = await resolve(connection, table, (embedding_column,))
        column = target.vector_column(embedding_column)
        vectors = await _sample(connection, target, column, sample) if given is None else given
        nearest = [
            Nearest(target, column, metric, query.tolist(), rows, filters=None, columns=())
            for query in checked_matrix(vectors, column, name=lambda n: f"queries[{n}]")
        ]
        method = _method(nearest[0])
        values = DEFAULT_EFFORTS[method] if chosen is None else chosen
        for value in values:
            check_overrides(value, value)
        exact = [await _timed(connection, *each.exact()) for each in nearest]
        if not exact[0][0]:
            raise _no_vectors(target, column)
        return [
            await _point(connection, nearest, exact, method=method, effort=value)
            for value in values
        ]


async def _point(
    connection: Connection,
    nearest: list[Nearest],
    exact: list[tuple[list[float], float]],
    *,
    method: Literal["hnsw", "ivfflat"],
    effort: int,
) -> RecallPoint:
    found = 0.0
    times: list[float] = []
    for each, (truth, _) in zip(nearest, exact, strict=True):
        indexed = each.indexed(ef_search=effort, probes=effort)
        async with settings_undone(connection):
            distances, seconds = await _timed(connection, *indexed)
        times.append(seconds)
        found += sum(d <= truth[-1] + _SAME_DISTANCE for d in distances) / len(truth)
    return RecallPoint(
        method=method,
        effort=effort,
        recall=found / len(nearest),
        p50_ms=statistics.median(times) * 1e3,
        exact_p50_ms=statistics.median(seconds for _, seconds in exact) * 1e3,
    )


async def _timed(
    connection: Connection, sql: str, parameters: Parameters
) -> tuple[list[float], float]:
    started = time.perf_counter()
    records = await fetch(connection, sql, parameters)
    seconds = time.perf_counter() - started
    distances = [record[0] for record in records]
    # A row without a vector has none, and one of zero length NaN.
    return [d for d in distances if d is not None and not math.isnan(d)], seconds


async def _sample(
    connection: Connection, table: Table, column: Column, size: int
) -> list[NDArray[np.float32]]:
    # Of zero length, which no query may be, a vector's cosine distance to itself is NaN, which
    # PostgreSQL has above all numbers.
    itself = f"t.{column.sql} {table.extension.operator(COSINE)} t.{column.sql}"
    rows: list[asyncpg.Record] = await connection.fetch(
        f"SELECT {column.send}(t.{column.sql}) FROM {table.sql} AS t "
        f"WHERE {itself} <= 'infinity' ORDER BY random() LIMIT {size}"
    )
    if not rows:
        raise _no_vectors(table, column)
    return [decoded(row[0], column) for row in rows]


def _listed(values: Iterable[T], name: str) -> list[T]:
    try:
        return list(values)
    except TypeError:
        raise InvalidInput(f"{name} must be a list; got {values!r}.") from None


def _method(nearest: Nearest) -> Literal["hnsw", "ivfflat"]:
    if not nearest.indexes:
        raise SearchError(
            f"{nearest.table.sql}.{nearest.column.sql} has no valid index for the "
            f"{nearest.metric.name} distance; create one first."
        )
    return nearest.indexes[0].method


def _no_vectors(table: Table, column: Column) -> SearchError:
    return SearchError(f"{table.sql}.{column.sql} holds no vectors; there is nothing to measure.")
