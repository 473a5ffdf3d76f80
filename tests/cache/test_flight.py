"""Equal work in flight is done once, whatever befalls the callers."""

import asyncio
import gc

import pytest

from vla_embeddings.cache import SingleFlight


class Work:
    """A computation that waits to be let go, and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        await self.go.wait()
        return self.runs

    async def fail(self) -> int:
        await self()
        raise ValueError("no vector")


async def started(*calls: "asyncio.Task[int]") -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(call.done() for call in calls)


async def test_a_thousand_equal_calls_are_one_computation() -> None:
    flight, work = SingleFlight[int](), Work()
    work.go.set()

    results = await asyncio.gather(*(flight.run("a", work) for _ in range(1000)))

    assert results == [1] * 1000
    assert work.runs == 1


async def test_other_keys_and_later_calls_compute_anew() -> None:
    flight, work = SingleFlight[int](), Work()
    work.go.set()

    assert await asyncio.gather(*(flight.run(key, work) for key in "ab")) == [1, 2]
    assert await flight.run("a", work) == 3


async def test_a_cancelled_caller_takes_nothing_from_the_others() -> None:
    flight, work = SingleFlight[int](), Work()
    first = asyncio.create_task(flight.run("a", work))
    second = asyncio.create_task(flight.run("a", work))
    await started(first, second)

    first.cancel()
    await asyncio.wait((first,))
    work.go.set()

    assert first.cancelled()
    assert await second == 1


async def test_an_error_reaches_all_callers_and_is_not_kept() -> None:
    flight, work = SingleFlight[int](), Work()
    calls = [asyncio.create_task(flight.run("a", work.fail)) for _ in range(3)]
    await started(*calls)
    work.go.set()

    results = await asyncio.gather(*calls, return_exceptions=True)

    assert [str(result) for result in results] == ["no vector"] * 3
    assert await flight.run("a", work) == 2


async def test_an_error_nobody_waits_for_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    flight, work = SingleFlight[int](), Work()
    only = asyncio.create_task(flight.run("a", work.fail))
    await started(only)
    only.cancel()
    await asyncio.wait((only,))

    work.go.set()
    await asyncio.sleep(0.01)
    gc.collect()

    assert not caplog.records
    assert work.runs == 1


def test_one_flight_serves_one_event_loop_after_another() -> None:
    flight = SingleFlight[int]()

    async def compute() -> int:
        return 7

    async def call() -> int:
        return await flight.run("a", compute)

    assert [asyncio.run(call()) for _ in range(2)] == [7, 7]
