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


async def take_turns(
    timers: Mapping[str, Timer], turns: int, before: Work = nothing
) -> dict[str, list[float]]:
    """Seconds of each, in an order that moves on by one with every turn: A B C, B C A, C A B.

    So each stands in every place, and of three or more none comes twice in a row, where it would
    find its own data in the processors' caches. The first turn warms up and is dropped.

    Args:
        timers: by name.
        turns: that count.
        before: called before each one's turn, untimed.
    """
    names = list(timers)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(turns + 1):
        first = turn % len(names)
        for name in [*names[first:], *names[:first]]:
            await before()
            times[name].append(await timers[name](turn))
    return {name: each[1:] for name, each in times.items()}


def timed(work: Work, repeats: int = 1) -> Timer:
    """The mean of so many calls in a row."""

    async def repeated() -> None:
        for _ in range(repeats):
            await work()

    async def timer(_: int) -> float:
        return await seconds(repeated()) / repeats

    return timer


def warmed(timer: Timer) -> Timer:
    """Likewise after once untimed, which finds the machine as the contender before left it."""

    async def again(turn: int) -> float:
        await timer(turn)
        return await timer(turn)

    return again


def round_trips(echo: Loopback, *, sent: int, received: int, repeats: int = 1) -> Timer:
    """The limit of works that send and receive so many bytes; the mean of so many in a row."""

    async def timer(_: int) -> float:
        return sum(echo.seconds(sent, received) for _ in range(repeats)) / repeats

    return warmed(timer)


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
        else replace(row, role="limit" if row.subject == limit else None)
        for row in rows
    ]


def _row(work: str, name: str, taken: list[float], unit: Unit) -> Row:
    return Row(work, name, quartiles(taken), unit, turns=taken)
