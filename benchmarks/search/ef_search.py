"""Recall against latency: the curve that `hnsw.ef_search` moves along."""

import numpy as np

from benchmarks.results import Findings, Row, Series
from benchmarks.search.inputs import REPLY_BYTES, TOP_K, SearchBench
from benchmarks.search.searching import (
    nearest_similarities,
    recall,
    search_once,
    similarities,
)
from benchmarks.spread import quartiles
from benchmarks.turns import OURS, seconds

EF_SEARCH = (10, 20, 40, 80, 160, 320)


async def ef_search_work(bench: SearchBench) -> Findings:
    """Each query at every `ef_search`, in turns."""
    times: dict[int, list[float]] = {each: [] for each in EF_SEARCH}
    recalls: dict[int, list[float]] = {each: [] for each in EF_SEARCH}
    echoes: list[float] = []
    for query in bench.inputs.queries:
        truth = nearest_similarities(bench.inputs.vectors, query)
        for ef_search in EF_SEARCH:
            found = await search_once(bench.db, query, ef_search=ef_search)  # warms up
            recalls[ef_search].append(recall(similarities(found), truth))
            again = search_once(bench.db, query, ef_search=ef_search)
            times[ef_search].append(1e3 * await seconds(again))
        echoes.append(1e3 * bench.echo.seconds(query.nbytes, REPLY_BYTES))
    rows = [
        Row(
            f"top {TOP_K} by HNSW, ef_search {each}",
            OURS,
            quartiles(times[each]),
            "ms",
            recall=float(np.mean(recalls[each])),
            share=float(np.median(echoes) / np.median(times[each])),
            limit=bench.echo.name,
            turns=times[each],
        )
        for each in EF_SEARCH
    ]
    points = [(row.figure.median, row.recall or 0.0) for row in rows]
    series = Series("recall-ef-search", OURS, "ms", f"recall@{TOP_K}", points)
    return Findings(rows, [], [], [series])
