"""Coroutines in turns, and rows of their figures."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from benchmarks.results import Row, Unit
from benchmarks.spread import Spread, median_interval, quartiles

OURS = "ours"

Work = Callable[[], Awaitable[object]]


async def seconds(call: Awaitable[object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    await call
    return time.perf_counter() - start


async def nothing() -> None:
    """What precedes works that need no preparation."""


async def in_turns(
    works: Mapping[str, Work], turns: int, before: Work = nothing, repeats: int = 1
) -> dict[str, list[float]]:
    """Seconds of one call of each, A B B A; the first turn warms up and is dropped.

    Args:
        works: by name.
        turns: that count.
        before: called before each work's turn, untimed.
        repeats: calls in a row that make one turn.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name in list(works) if turn % 2 == 0 else reversed(list(works)):
            await before()
            times[name].append(await seconds(_repeated(works[name], repeats)) / repeats)
    return {name: each[1:] for name, each in times.items()}


async def _repeated(work: Work, repeats: int) -> None:
    for _ in range(repeats):
        await work()


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The median over the turns of how many times `below` it is."""
    return median_interval([a / b for a, b in zip(above, below, strict=True)])


def rates(work: str, times: Mapping[str, Sequence[float]], rows: int) -> list[Row]:
    """Rows a second of every contender."""
    return [
        _row(work, name, [rows / each for each in taken], "/s") for name, taken in times.items()
    ]


def latencies(
    work: str, times: Mapping[str, Sequence[float]], limit: str | None = None
) -> list[Row]:
    """Milliseconds of every contender; ours as a share of the limit, where there is one."""
    rows = [
        _row(work, name, [1e3 * each for each in taken], "ms") for name, taken in times.items()
    ]
    if limit is None:
        return rows
    share = ratio(times[limit], times[OURS]).median
    return [replace(row, share=share, limit=limit) if row.subject == OURS else row for row in rows]


def _row(work: str, name: str, taken: list[float], unit: Unit) -> Row:
    return Row(work, name, quartiles(taken), unit, turns=taken)
