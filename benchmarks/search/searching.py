"""What searching costs and finds."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.results import Findings, Verdict
from benchmarks.search.inputs import BUCKETS, REPLY_BYTES, TOP_K, SearchBench, Vectors
from benchmarks.search.writing import TABLE
from benchmarks.spread import Spread, median_interval
from benchmarks.turns import OURS, latencies, ratio, seconds
from vla_embeddings.search import cosine_similarity_search
from vla_embeddings.search.catalog import resolve
from vla_embeddings.search.handles import Connection
from vla_embeddings.search.metric import COSINE
from vla_embeddings.search.statement import Nearest

REACH = 3
"""Rows that a threshold lets through."""


async def overhead_work(bench: SearchBench) -> Findings:
    """`cosine_similarity_search` beside asyncpg's `fetch` of the statement it sends."""
    work, fetch, limit = f"top {TOP_K} by HNSW", "asyncpg fetch, same SQL", bench.echo.name
    times: dict[str, list[float]] = {OURS: [], fetch: [], limit: []}
    recalls: list[float] = []
    # Beforehand: it reads all vectors on all cores, whose threads go on spinning for a while.
    truths = [nearest_similarities(bench.inputs.vectors, each) for each in bench.inputs.queries]
    async with bench.db.pool.acquire() as connection:
        for query, truth in zip(bench.inputs.queries, truths, strict=True):
            sql, values = await _statement(connection, query)
            found = await search_once(connection, query)  # then in memory for both
            calls: list[tuple[str, Callable[[], Awaitable[object]]]] = [
                (OURS, partial(search_once, connection, query)),
                (fetch, partial(connection.fetch, sql, *values)),
            ]
            # In turns, as the second finds the processors' caches warmer.
            for name, call in calls if len(recalls) % 2 else reversed(calls):
                times[name].append(await seconds(call()))
            times[limit].append(bench.echo.seconds(query.nbytes, REPLY_BYTES))
            recalls.append(recall(similarities(found), truth))
    added = [1e3 * (ours - raw) for ours, raw in zip(times[OURS], times[fetch], strict=True)]
    verdict = Verdict(
        f"{work}, added to it", OURS, fetch, median_interval(added), "ms", 0.2, at_most=True
    )
    rows = [
        row if row.is_limit else replace(row, recall=float(np.mean(recalls)))
        for row in latencies(work, times, limit)
    ]
    return Findings(rows, [verdict], [])


def nearest_similarities(vectors: Vectors, query: Vectors) -> Vectors:
    """The cosines of the truly nearest, the highest first."""
    return np.sort(vectors @ query)[::-1][:TOP_K]


def recall(found: Vectors, truth: Vectors) -> float:
    """The share of the truly nearest among the rows found, by their similarities."""
    return int(np.count_nonzero(found >= truth[-1] - 1e-6)) / len(truth)


def similarities(rows: Sequence[Any]) -> Vectors:
    """Of rows found, the nearest first."""
    return np.array([row["similarity"] for row in rows])


async def search_once(db: Any, query: Vectors, **options: Any) -> list[dict[str, Any]]:
    given = {"top_k": TOP_K, "threshold": -1.0, **options}
    return await cosine_similarity_search(db, TABLE, "embedding", query, **given)


async def _statement(connection: Connection, query: Vectors) -> tuple[str, list[Any]]:
    table = await resolve(connection, TABLE)
    columns = tuple(column for column in table.columns.values() if not column.vector_type)
    column, numbers = table.column("embedding"), query.tolist()
    nearest = Nearest(table, column, COSINE, numbers, TOP_K, None, columns)
    sql, parameters = nearest.indexed()
    return sql, parameters.values


async def recall_work(bench: SearchBench) -> Findings:
    """Recall by distance at the defaults, and what filters leave of it."""
    parts = [
        await _recall("no filter", None, bench),
        await _recall("1 % pass a filter", 10, bench),
        await _recall("0.1 % pass it", 1, bench),
    ]
    return Findings.joined(parts)


async def _recall(which: str, kept: int | None, bench: SearchBench) -> Findings:
    """Of the rows in the first `kept` buckets, or of all."""
    filters = None if kept is None else {"bucket": {"lt": kept}}
    buckets = np.arange(len(bench.inputs.vectors)) % BUCKETS
    matching = bench.inputs.vectors[buckets < (kept or BUCKETS)]
    recalls, lengths, limit = [], [], bench.echo.name
    times: dict[str, list[float]] = {OURS: [], limit: []}
    for query in bench.inputs.queries:
        truth = nearest_similarities(matching, query)
        found = await search_once(bench.db, query, filters=filters)  # warms up
        recalls.append(recall(similarities(found), truth))
        lengths.append(len(found) / len(truth))
        times[OURS].append(await seconds(search_once(bench.db, query, filters=filters)))
        times[limit].append(bench.echo.seconds(query.nbytes, REPLY_BYTES))
    mean = float(np.mean(recalls))
    rows = [
        row if row.is_limit else replace(row, recall=mean)
        for row in latencies(f"top {TOP_K}, {which}", times, limit)
    ]
    seen = Spread(min(recalls), mean, max(recalls))
    length = Spread(min(lengths), min(lengths), min(lengths))
    verdicts = [
        Verdict(f"recall@{TOP_K}, {which}", OURS, None, seen, "", 0.98, at_most=False),
        Verdict(f"shortest list, {which}", OURS, None, length, "", 1, at_most=False),
    ]
    return Findings(rows, verdicts, [])


async def threshold_work(bench: SearchBench) -> Findings:
    """A threshold that three rows reach, beside the same in WHERE with an iterative scan."""
    work, in_where, limit = (
        f"threshold that {REACH} rows reach",
        "threshold in WHERE",
        bench.echo.name,
    )
    times: dict[str, list[float]] = {OURS: [], in_where: [], limit: []}
    recalls: dict[str, list[float]] = {OURS: [], in_where: []}
    await bench.raw.execute("SET hnsw.ef_search = 100; SET hnsw.iterative_scan = relaxed_order")
    for number, query in enumerate(bench.inputs.queries[: bench.size.queries // 4]):
        nearest = np.sort(bench.inputs.vectors @ query)[::-1]
        threshold = float(nearest[REACH - 1] + nearest[REACH]) / 2
        sql = (
            f"SELECT id, instruction, 1 - (embedding <=> $1) AS similarity FROM {TABLE} "
            f"WHERE embedding <=> $1 <= {1 - threshold!r} ORDER BY embedding <=> $1 LIMIT {TOP_K}"
        )
        calls: dict[str, Callable[[], Awaitable[Sequence[Any]]]] = {
            OURS: partial(search_once, bench.db, query, threshold=threshold),
            in_where: partial(bench.raw.fetch, sql, query),
        }
        for name, call in calls.items():  # warms up
            recalls[name].append(recall(similarities(await call()), nearest[:REACH]))
        for name in list(calls) if number % 2 == 0 else reversed(list(calls)):
            times[name].append(await seconds(calls[name]()))
        times[limit].append(bench.echo.seconds(query.nbytes, REPLY_BYTES))
    await bench.raw.execute("RESET hnsw.ef_search; RESET hnsw.iterative_scan")
    faster = ratio(times[in_where], times[OURS])
    verdict = Verdict(work, OURS, in_where, faster, "x", 10, at_most=False)
    rows = [
        row if row.is_limit else replace(row, recall=float(np.mean(recalls[row.subject])))
        for row in latencies(work, times, limit)
    ]
    return Findings(rows, [verdict], [])
