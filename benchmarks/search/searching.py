"""What searching costs and finds."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.limits.loopback import NAME as LOOPBACK
from benchmarks.limits.loopback import loopback
from benchmarks.results import Findings, Verdict
from benchmarks.search.inputs import BUCKETS, TOP_K, SearchBench, Vectors
from benchmarks.search.writing import TABLE
from benchmarks.spread import Spread, median_interval
from benchmarks.turns import OURS, latencies, ratio, seconds
from vla_embeddings.search import cosine_similarity_search
from vla_embeddings.search.catalog import resolve
from vla_embeddings.search.handles import Connection
from vla_embeddings.search.metric import COSINE
from vla_embeddings.search.statement import Nearest

REPLY_BYTES = 1000  # ten rows of an id, an instruction, a bucket and a similarity


async def overhead_work(bench: SearchBench) -> Findings:
    """`cosine_similarity_search` beside asyncpg's `fetch` of the statement it sends."""
    work, fetch = f"top {TOP_K} by HNSW", "asyncpg fetch, same SQL"
    times: dict[str, list[float]] = {OURS: [], fetch: [], LOOPBACK: []}
    recalls: list[float] = []
    # Beforehand: it reads all vectors on all cores, whose threads go on spinning for a while.
    truths = [nearest_similarities(bench.inputs.vectors, each) for each in bench.inputs.queries]
    with loopback() as echo:
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
                times[LOOPBACK].append(echo.seconds(query.nbytes, REPLY_BYTES))
                recalls.append(hits(found, truth))
    added = [1e3 * (ours - raw) for ours, raw in zip(times[OURS], times[fetch], strict=True)]
    verdict = Verdict(
        f"{work}, added to it", OURS, fetch, median_interval(added), "ms", 0.2, at_most=True
    )
    rows = [
        row if row.subject == LOOPBACK else replace(row, recall=float(np.mean(recalls)))
        for row in latencies(work, times, LOOPBACK)
    ]
    return Findings(rows, [verdict], [])


def nearest_similarities(vectors: Vectors, query: Vectors) -> Vectors:
    """The cosines of the truly nearest, the highest first."""
    return np.sort(vectors @ query)[::-1][:TOP_K]


def hits(found: Sequence[Mapping[str, Any]], truth: Vectors) -> float:
    """The share of the truly nearest among the rows found, by their similarity."""
    found_similarities = np.array([row["similarity"] for row in found])
    return int(np.count_nonzero(found_similarities >= truth[-1] - 1e-6)) / len(truth)


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
    buckets = np.arange(len(bench.inputs.vectors)) % BUCKETS
    verdicts = []
    for work, kept in (("no filter", None), ("1 % pass a filter", 10), ("0.1 % pass it", 1)):
        filters = None if kept is None else {"bucket": {"lt": kept}}
        matching = bench.inputs.vectors[buckets < (kept or BUCKETS)]
        recalls, lengths = [], []
        for query in bench.inputs.queries:
            truth = nearest_similarities(matching, query)
            found = await search_once(bench.db, query, filters=filters)
            recalls.append(hits(found, truth))
            lengths.append(len(found) / len(truth))
        recall = Spread(min(recalls), float(np.mean(recalls)), max(recalls))
        length = Spread(min(lengths), min(lengths), min(lengths))
        verdicts += [
            Verdict(f"recall@{TOP_K}, {work}", OURS, None, recall, "", 0.98, at_most=False),
            Verdict(f"shortest list, {work}", OURS, None, length, "", 1, at_most=False),
        ]
    return Findings([], verdicts, [])


async def threshold_work(bench: SearchBench) -> Findings:
    """A threshold that three rows reach, beside the same in WHERE with an iterative scan."""
    work, in_where = "threshold that 3 rows reach", "threshold in WHERE"
    times: dict[str, list[float]] = {OURS: [], in_where: []}
    await bench.raw.execute("SET hnsw.ef_search = 100; SET hnsw.iterative_scan = relaxed_order")
    for query in bench.inputs.queries[: bench.size.queries // 4]:
        nearest = np.sort(bench.inputs.vectors @ query)[::-1]
        threshold = float(nearest[2] + nearest[3]) / 2
        sql = (
            f"SELECT id, instruction, 1 - (embedding <=> $1) AS similarity FROM {TABLE} "
            f"WHERE embedding <=> $1 <= {1 - threshold!r} ORDER BY embedding <=> $1 LIMIT {TOP_K}"
        )
        times[OURS].append(await seconds(search_once(bench.db, query, threshold=threshold)))
        times[in_where].append(await seconds(bench.raw.fetch(sql, query)))
    await bench.raw.execute("RESET hnsw.ef_search; RESET hnsw.iterative_scan")
    faster = ratio(times[in_where], times[OURS])
    verdict = Verdict(work, OURS, in_where, faster, "x", 10, at_most=False)
    return Findings(latencies(work, times), [verdict], [])
