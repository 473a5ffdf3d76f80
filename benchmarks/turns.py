"""Coroutines in turns, and rows of their figures."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from benchmarks.limits.loopback import Loopback
from benchmarks.results import Row, Unit
from benchmarks.spread import Spread, median_interval, quartiles

OURS = "ours"

Work = Callable[[], Awaitable[object]]
Timer = Callable[[int], Awaitable[float]]
"""Does a turn's work, given the number of the turn, and returns the seconds it took."""


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
    timers = {name: _timer(work, repeats) for name, work in works.items()}
    return await take_turns(timers, turns, before)


async def take_turns(
    timers: Mapping[str, Timer], turns: int, before: Work = nothing
) -> dict[str, list[float]]:
    """Likewise, of works that time themselves."""
    times: dict[str, list[float]] = {name: [] for name in timers}
    for turn in range(turns + 1):
        for name in list(timers) if turn % 2 == 0 else reversed(list(timers)):
            await before()
            times[name].append(await timers[name](turn))
    return {name: each[1:] for name, each in times.items()}


def _timer(work: Work, repeats: int) -> Timer:
    async def repeated() -> None:
        for _ in range(repeats):
            await work()

    async def timer(_: int) -> float:
        return await seconds(repeated()) / repeats

    return timer


def round_trips(echo: Loopback, *, sent: int, received: int) -> Timer:
    """The limit of works that send and receive so many bytes."""

    async def timer(_: int) -> float:
        return echo.seconds(sent, received)

    return timer


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The median over the turns of how many times `below` it is."""
    return median_interval([a / b for a, b in zip(above, below, strict=True)])


def rates(
    work: str, times: Mapping[str, Sequence[float]], rows: int, limit: str | None = None
) -> list[Row]:
    """Rows a second of every contender; ours as a share of the limit, where there is one."""
    found = [
        _row(work, name, [rows / each for each in taken], "/s") for name, taken in times.items()
    ]
    return _shared(found, times, limit)


def latencies(
    work: str, times: Mapping[str, Sequence[float]], limit: str | None = None
) -> list[Row]:
    """Milliseconds of every contender; ours as a share of the limit, where there is one."""
    found = [
        _row(work, name, [1e3 * each for each in taken], "ms") for name, taken in times.items()
    ]
    return _shared(found, times, limit)


def _shared(rows: list[Row], times: Mapping[str, Sequence[float]], limit: str | None) -> list[Row]:
    if limit is None:
        return rows
    share = ratio(times[limit], times[OURS]).median
    return [
        replace(row, share=share, limit=limit)
        if row.subject == OURS
        else replace(row, is_limit=row.subject == limit)
        for row in rows
    ]


def _row(work: str, name: str, taken: list[float], unit: Unit) -> Row:
    return Row(work, name, quartiles(taken), unit, turns=taken)
