"""Equal work in flight is done once, whatever befalls the callers."""

import asyncio
import gc

import pytest

from vla_embeddings.cache import SingleFlight


class Work:
    """A computation that waits to be let go, and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.cancelled = 0
        self.go = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.runs

    async def end_slowly(self) -> int:
        """Takes its time when it is cancelled."""
        try:
            return await self()
        finally:
            await self.may_end.wait()

    async def fail(self) -> int:
        await self()
        raise ValueError("no vector")

    async def fail_when_cancelled(self) -> int:
        try:
            return await self()
        except asyncio.CancelledError:
            raise ValueError("no vector") from None


async def settled() -> None:
    """Until the event loop has nothing left to do at once."""
    for _ in range(5):
        await asyncio.sleep(0)


async def started(*calls: "asyncio.Task[int]") -> None:
    await settled()
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


async def test_the_last_caller_that_is_cancelled_takes_the_computation_along() -> None:
    flight, work = SingleFlight[int](), Work()
    calls = [asyncio.create_task(flight.run("a", work)) for _ in range(2)]
    await started(*calls)

    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await settled()

    assert work.cancelled == 1


async def test_who_asks_while_a_computation_is_being_cancelled_gets_one_of_its_own() -> None:
    flight, work = SingleFlight[int](), Work()
    first = asyncio.create_task(flight.run("a", work.end_slowly))
    await started(first)
    first.cancel()
    await asyncio.wait((first,))
    late = [asyncio.create_task(flight.run("a", work)) for _ in range(2)]
    await started(*late)

    work.may_end.set()
    await settled()
    work.go.set()

    assert await asyncio.gather(*late) == [2, 2]
    assert work.cancelled == 1


async def test_who_asks_in_the_moment_of_the_cancellation_gets_a_result() -> None:
    flight, work = SingleFlight[int](), Work()
    first = asyncio.create_task(flight.run("a", work))
    await started(first)

    first.cancel()
    late = asyncio.create_task(flight.run("a", work))
    await settled()
    work.go.set()

    assert await late == 2


async def test_an_error_nobody_waits_for_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    flight, work = SingleFlight[int](), Work()
    only = asyncio.create_task(flight.run("a", work.fail_when_cancelled))
    await started(only)

    only.cancel()
    await asyncio.wait((only,))
    await settled()
    gc.collect()

    assert work.cancelled == 1
    assert not caplog.records


def test_one_flight_serves_one_event_loop_after_another() -> None:
    flight = SingleFlight[int]()

    async def compute() -> int:
        return 7

    async def call() -> int:
        return await flight.run("a", compute)

    assert [asyncio.run(call()) for _ in range(2)] == [7, 7]


def test_calls_under_way_end_with_their_event_loop() -> None:
    """Else each would hold its input for as long as the service lives."""
    flight = SingleFlight[int]()
    loop = asyncio.new_event_loop()
    ended = []

    async def call() -> None:
        try:
            await flight.run("a", Work())
        finally:
            ended.append("a")

    async def begin() -> None:
        asyncio.create_task(call())  # noqa: RUF006 - nobody waits for it
        await settled()

    loop.run_until_complete(begin())
    assert not ended

    loop.close()

    gc.collect()
    assert ended == ["a"]
