"""Contenders in turns, and rows of their figures."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from benchmarks.results import Row
from benchmarks.spread import Spread, median_interval, quartiles

OURS = "ours"

Work = Callable[[], Awaitable[object]]


async def seconds(call: Awaitable[object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    await call
    return time.perf_counter() - start


async def in_turns(works: Mapping[str, Work], turns: int, before: Work) -> dict[str, list[float]]:
    """Seconds of all, A B A B; `before` each, untimed; the first turn warms up and is dropped."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns + 1):
        for name, work in works.items():
            await before()
            times[name].append(await seconds(work()))
    return {name: each[1:] for name, each in times.items()}


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The median over the turns of how many times `below` it is."""
    return median_interval([a / b for a, b in zip(above, below, strict=True)])


def rates(work: str, times: Mapping[str, Sequence[float]], rows: int) -> list[Row]:
    """Rows a second of every contender."""
    return [
        Row(work, name, quartiles([rows / each for each in taken]), "/s")
        for name, taken in times.items()
    ]


def latencies(work: str, times: Mapping[str, Sequence[float]]) -> list[Row]:
    """Milliseconds of every contender."""
    return [
        Row(work, name, quartiles([1e3 * each for each in taken]), "ms")
        for name, taken in times.items()
    ]


# --- The table ------------------------------------------------------------------------------
