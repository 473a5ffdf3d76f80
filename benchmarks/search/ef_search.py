"""Recall against latency: the curve that `hnsw.ef_search` moves along."""

from dataclasses import replace

from benchmarks.results import Findings, Row, Series
from benchmarks.search.contest import Searches, asking, hold, searching
from benchmarks.search.inputs import TOP_K, SearchBench
from benchmarks.turns import OURS, latencies

EF_SEARCH = (10, 20, 40, 80, 160, 320)


async def ef_search_work(bench: SearchBench) -> Findings:
    """Each query at every `ef_search`, in turns."""
    async with bench.db.pool.acquire() as connection:
        queries = bench.inputs.queries
        asks = {
            str(each): asking(searching(connection, queries, ef_search=each)) for each in EF_SEARCH
        }
        searches = await hold(asks, bench.truths, bench)
    rows = [_row(each, searches) for each in EF_SEARCH]
    points = [(row.figure.median, row.recall or 0.0) for row in rows]
    labels = list(map(str, EF_SEARCH))
    series = Series("recall-ef-search", OURS, "ms", f"recall@{TOP_K}", points, labels=labels)
    return Findings(rows, [], [], [series])


def _row(ef_search: int, searches: Searches) -> Row:
    """As a share of the same round trips as the others."""
    name, limit = str(ef_search), searches.limit
    times = {OURS: searches.times[name], limit: searches.times[limit]}
    [row, _] = latencies(f"top {TOP_K} by HNSW, ef_search {name}", times, limit)
    return replace(row, recall=searches.recall(name).median)
