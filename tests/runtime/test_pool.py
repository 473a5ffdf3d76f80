"""Work on threads: done, refused or called off, and never left without an answer."""

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial

import pytest

from tests.runtime.conftest import refuse_a_thread_once
from vla_embeddings.errors import InferenceError, ServiceClosed
from vla_embeddings.runtime.pool import Pool

PATIENCE = 10  # seconds, only against hanging


class Work:
    """Notes what is done; the first of it takes until it is let go."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.busy = threading.Event()
        self.may_end = threading.Event()

    def hold(self) -> None:
        self.busy.set()
        assert self.may_end.wait(PATIENCE)

    async def held_up(self, pool: Pool) -> "asyncio.Task[None]":
        """The one thread's work, until `may_end` is set."""
        held = asyncio.create_task(pool.run(self.hold))
        assert await asyncio.to_thread(self.busy.wait, PATIENCE)
        return held

    async def waiting(self, pool: Pool, *numbers: int) -> "list[asyncio.Task[None]]":
        tasks = [
            asyncio.create_task(pool.run(partial(self.done.append, number))) for number in numbers
        ]
        await asyncio.sleep(0)
        return tasks


@pytest.fixture
async def work() -> AsyncIterator[Work]:
    work = Work()
    yield work
    work.may_end.set()


@pytest.fixture
async def pool(work: Work) -> AsyncIterator[Pool]:
    pool = Pool("pool-test", threads=1, nice=0)
    yield pool
    work.may_end.set()
    pool.close()


async def test_what_a_cancelled_caller_waited_for_is_not_done(pool: Pool, work: Work) -> None:
    held = await work.held_up(pool)
    gone, stays = await work.waiting(pool, 1, 2)

    gone.cancel()
    await asyncio.wait([gone])
    work.may_end.set()
    await asyncio.gather(held, stays)

    assert work.done == [2]


async def test_calls_for_much_work_take_turns(pool: Pool, work: Work) -> None:
    """A short one does not wait for the whole of a long one."""
    held = await work.held_up(pool)
    long = asyncio.create_task(pool.run_all(partial(work.done.append, n) for n in range(1000)))
    await asyncio.sleep(0)
    [short] = await work.waiting(pool, 2000)

    work.may_end.set()
    await asyncio.gather(held, short)

    assert work.done.index(2000) < 10
    assert await long == [None] * 1000
    assert sorted(work.done) == [*range(1000), 2000]


async def test_closing_finishes_what_is_at_work_and_fails_what_waits(
    pool: Pool, work: Work
) -> None:
    held = await work.held_up(pool)
    [waiting] = await work.waiting(pool, 1)

    closing = asyncio.create_task(asyncio.to_thread(pool.close))
    while not pool._closed:
        await asyncio.wait([closing], timeout=0.01)
    assert not (await asyncio.wait([closing], timeout=0.05))[0]
    work.may_end.set()
    await asyncio.gather(closing, held)

    with pytest.raises(ServiceClosed, match="cleaned up before"):
        await waiting
    assert work.done == []


async def test_a_thread_that_the_system_refuses_is_asked_for_again(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_a_thread_once(monkeypatch)
    with pytest.raises(InferenceError, match="raise the limit of threads"):
        await pool.run(lambda: 1)

    assert await pool.run(lambda: 2) == 2


async def test_shared_work_is_done_by_threads_that_idle(pool: Pool, work: Work) -> None:
    def let_go() -> int:
        work.may_end.set()
        return 2

    def hold() -> int:
        work.hold()
        return 1

    assert await asyncio.to_thread(pool.share, [hold, let_go]) == [1, 2]


async def test_shared_work_that_no_thread_has_begun_is_done_by_its_caller(
    pool: Pool, work: Work
) -> None:
    held = await work.held_up(pool)

    assert pool.share([lambda: 1, lambda: 2, threading.get_ident]) == [1, 2, threading.get_ident()]

    work.may_end.set()
    await held


async def test_shared_work_goes_on_where_the_pool_has_been_closed(pool: Pool) -> None:
    pool.close()

    assert pool.share([lambda: 1, lambda: 2]) == [1, 2]


async def test_shared_work_of_the_only_thread_is_done_there(pool: Pool) -> None:
    assert await pool.run(lambda: pool.share([lambda: 1, lambda: 2])) == [1, 2]


async def test_a_failure_of_shared_work_reaches_its_caller(pool: Pool) -> None:
    def fail() -> int:
        raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"):
        pool.share([lambda: 1, fail])
