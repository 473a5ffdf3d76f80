"""Ways to search in turns, and how much of what is truly nearest each finds."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.results import Row
from benchmarks.search.inputs import REPLY_BYTES, TABLE, TOP_K, SearchBench, Vectors
from benchmarks.spread import Spread
from benchmarks.turns import Timer, latencies, round_trips, take_turns, warmed
from vla_embeddings.search import cosine_similarity_search

Rows = Sequence[Any]
Search = Callable[[int], Awaitable[Rows]]
"""For the query of a number."""
Ask = Callable[[int], Awaitable[tuple[float, Vectors]]]
"""Likewise, timing itself: wall seconds, and the similarities found."""


@dataclass(frozen=True, slots=True)
class Searches:
    """What searching for each query took and found, by contender."""

    times: Mapping[str, Sequence[float]]
    limit: str
    """Whose times are the round trip's."""
    recalls: Mapping[str, Sequence[float]]
    lengths: Mapping[str, Sequence[float]]
    """Of the lists found, as shares of what there is to find."""

    def recall(self, name: str) -> Spread:
        """The mean within the worst and the best query's."""
        recalls = self.recalls[name]
        return Spread(min(recalls), float(np.mean(recalls)), max(recalls))

    def rows(self, work: str) -> list[Row]:
        """Milliseconds of every contender with its recall."""
        return [
            row if row.is_limit else replace(row, recall=self.recall(row.subject).median)
            for row in latencies(work, self.times, self.limit)
        ]


async def hold(asks: Mapping[str, Ask], truths: Sequence[Vectors], bench: SearchBench) -> Searches:
    """Every contender with every query that has a truth, each warmed by an untimed search.

    Args:
        asks: by name.
        truths: for each query the cosines of what is truly nearest; found before any is timed,
            since it takes all cores, whose threads go on spinning for a while.
    """
    recalls = {name: [0.0] * len(truths) for name in asks}
    lengths = {name: [0.0] * len(truths) for name in asks}

    def timer(name: str, ask: Ask) -> Timer:
        async def asked(turn: int) -> float:
            number = turn % len(truths)
            taken, found = await ask(number)
            recalls[name][number] = recall(found, truths[number])
            lengths[name][number] = len(found) / len(truths[number])
            return taken

        return warmed(asked)

    sent, limit = bench.inputs.queries[0].nbytes, bench.echo.name
    timers = {name: timer(name, ask) for name, ask in asks.items()}
    timers[limit] = round_trips(bench.echo, sent=sent, received=REPLY_BYTES)
    return Searches(await take_turns(timers, len(truths)), limit, recalls, lengths)


def similarities(rows: Rows) -> Vectors:
    """Of rows found, the nearest first."""
    return np.array([row["similarity"] for row in rows])


def asking(search: Search, read: Callable[[Rows], Vectors] = similarities) -> Ask:
    """Time a search in this process; `read` takes the similarities from what it found."""

    async def ask(number: int) -> tuple[float, Vectors]:
        start = time.perf_counter()
        rows = await search(number)
        return time.perf_counter() - start, read(rows)

    return ask


def searching(connection: Any, queries: Vectors, **options: Any) -> Search:
    """Ours, on one connection."""
    given = {"top_k": TOP_K, "threshold": -1.0, **options}
    return lambda number: cosine_similarity_search(
        connection, TABLE, "embedding", queries[number], **given
    )


def fetching(connection: Any, sql: str, queries: Vectors) -> Search:
    """asyncpg's `fetch` of a statement with the query as its parameter."""
    return lambda number: connection.fetch(sql, queries[number])


def recall(found: Vectors, truth: Vectors) -> float:
    """The share of the truly nearest among the rows found, by their similarities."""
    return int(np.count_nonzero(found >= truth[-1] - 1e-6)) / len(truth)
