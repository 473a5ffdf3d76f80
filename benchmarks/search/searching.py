"""What searching costs and finds."""

from collections.abc import Awaitable

import numpy as np

from benchmarks.results import Findings, Verdict
from benchmarks.search.contest import (
    Ask,
    Rows,
    Searches,
    asking,
    fetching,
    hold,
    searching,
)
from benchmarks.search.inputs import (
    BUCKETS,
    TABLE,
    TOP_K,
    SearchBench,
    Vectors,
    nearest_similarities,
)
from benchmarks.search.statements import DISTANCE, exact, nearest, nearest_within
from benchmarks.spread import exactly, median_interval
from benchmarks.turns import OURS, ratio
from vla_embeddings.search.catalog import Table, resolve
from vla_embeddings.search.handles import Connection
from vla_embeddings.search.metric import COSINE
from vla_embeddings.search.statement import Nearest
from vla_embeddings.search.tuning import DEFAULT_EF_SEARCH

REACH = 3
"""Rows that a threshold lets through."""
POOR = 0.01
"""The share of queries that may find less than half: docs/adr/0016-recall.md."""
FEWER = 4
"""One query in so many is asked where each takes long."""

README = "asyncpg, pgvector's README"
EXACT = "asyncpg, exact scan"
ITERATIVE = "asyncpg, hnsw.iterative_scan"

# What ours searches with; the README's settings are those of a session.
EFFORT = f"SET hnsw.ef_search = {DEFAULT_EF_SEARCH}"
GOES_ON = f"{EFFORT}; SET hnsw.iterative_scan = relaxed_order"
AS_BEFORE = "RESET hnsw.ef_search; RESET hnsw.iterative_scan"


async def overhead_work(bench: SearchBench) -> Findings:
    """`cosine_similarity_search` beside asyncpg: with the statement it sends, and by itself."""
    work, fetch = f"top {TOP_K} by HNSW", "asyncpg fetch, same SQL"
    queries = bench.inputs.queries
    await bench.raw.execute(EFFORT)
    async with bench.db.pool.acquire() as connection:
        searches = await hold(
            {
                OURS: asking(searching(connection, queries)),
                fetch: _same(await resolve(connection, TABLE), connection, queries),
                README: asking(fetching(bench.raw, nearest(), queries)),
            },
            bench.truths,
            bench,
        )
    await bench.raw.execute(AS_BEFORE)
    pairs = zip(searches.times[OURS], searches.times[fetch], strict=True)
    added = median_interval([1e3 * (ours - raw) for ours, raw in pairs])
    verdict = Verdict(f"{work}, added to it", OURS, fetch, added, "ms", 0.2, at_most=True)
    return Findings(searches.rows(work), [verdict], [])


def _same(table: Table, connection: Connection, queries: Vectors) -> Ask:
    """The statement that ours sends, for each query made beforehand."""
    columns = tuple(column for column in table.columns.values() if not column.vector_type)
    column = table.column("embedding")
    made = [
        Nearest(table, column, COSINE, query.tolist(), TOP_K, None, columns).indexed()
        for query in queries
    ]
    sent = [(sql, *parameters.values) for sql, parameters in made]
    # The distance follows the columns.
    return asking(
        lambda number: connection.fetch(*sent[number]),
        lambda rows: np.array([1 - row[len(columns)] for row in rows]),
    )


async def recall_work(bench: SearchBench) -> Findings:
    """Recall by distance at the defaults, and what filters leave of it."""
    parts = [
        await _recall("no filter", bench),
        await _filtered("1 % pass a filter", 10, bench),
        await _filtered("0.1 % pass it", 1, bench),
    ]
    return Findings.joined(parts)


async def _recall(which: str, bench: SearchBench) -> Findings:
    async with bench.db.pool.acquire() as connection:
        ours = asking(searching(connection, bench.inputs.queries))
        searches = await hold({OURS: ours}, bench.truths, bench)
    return _judged(which, searches)


async def _filtered(which: str, kept: int, bench: SearchBench) -> Findings:
    """Among the rows in the first `kept` buckets, beside two ways that asyncpg alone has."""
    queries = bench.inputs.queries[::FEWER]
    buckets = np.arange(len(bench.inputs.vectors)) % BUCKETS
    truths = nearest_similarities(bench.inputs.vectors[buckets < kept], queries)
    where = f"WHERE bucket < {kept}"
    await bench.raw.execute(GOES_ON)
    async with bench.db.pool.acquire() as connection:
        filters = {"bucket": {"lt": kept}}
        searches = await hold(
            {
                OURS: asking(searching(connection, queries, filters=filters)),
                EXACT: asking(fetching(bench.raw, exact(where=where), queries)),
                ITERATIVE: asking(fetching(bench.raw, nearest(where=where), queries)),
            },
            truths,
            bench,
        )
    await bench.raw.execute(AS_BEFORE)
    return _judged(which, searches)


def _judged(which: str, searches: Searches) -> Findings:
    seen, shortest = searches.recall(OURS), exactly(min(searches.lengths[OURS]))
    poor = exactly(float(np.mean(np.array(searches.recalls[OURS]) < 0.5)))
    verdicts = [
        Verdict(f"recall@{TOP_K}, {which}", OURS, None, seen, "", 0.98, at_most=False),
        Verdict(
            f"queries that find less than half, {which}", OURS, None, poor, "", POOR, at_most=True
        ),
        Verdict(f"shortest list, {which}", OURS, None, shortest, "", 1, at_most=False),
    ]
    return Findings(searches.rows(f"top {TOP_K}, {which}"), verdicts, [])


async def threshold_work(bench: SearchBench) -> Findings:
    """A threshold that three rows reach, beside what asyncpg alone has: in WHERE with an iterative
    scan, and as pgvector's README advises."""
    work, in_where = f"threshold that {REACH} rows reach", "threshold in WHERE"
    queries = bench.inputs.queries[::FEWER]
    truths = bench.truths[::FEWER]
    thresholds = [float(truth[REACH - 1] + truth[REACH]) / 2 for truth in truths]
    await bench.raw.execute(GOES_ON)
    async with bench.db.pool.acquire() as connection:

        def ours(number: int) -> Awaitable[Rows]:
            return searching(connection, queries, threshold=thresholds[number])(number)

        def theirs(number: int) -> Awaitable[Rows]:
            where = f"WHERE {DISTANCE} <= {1 - thresholds[number]!r}"
            return fetching(bench.raw, nearest(where=where), queries)(number)

        def advised(number: int) -> Awaitable[Rows]:
            statement = nearest_within(1 - thresholds[number])
            return fetching(bench.raw, statement, queries)(number)

        asks = {OURS: asking(ours), in_where: asking(theirs), README: asking(advised)}
        searches = await hold(asks, [truth[:REACH] for truth in truths], bench)
    await bench.raw.execute(AS_BEFORE)
    faster = ratio(searches.times[in_where], searches.times[OURS])
    verdict = Verdict(work, OURS, in_where, faster, "x", 10, at_most=False)
    return Findings(searches.rows(work), [verdict], [])
