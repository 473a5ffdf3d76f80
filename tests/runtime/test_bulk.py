"""Bulk work has every core, takes turns, and nothing of it is left behind."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from tests.runtime.conftest import Panic, failing_once
from vla_embeddings.errors import InferenceError, ServiceClosed
from vla_embeddings.runtime.bulk import Bulk
from vla_embeddings.runtime.encoders import Batch, TextEncoder, Vectors
from vla_embeddings.runtime.session import Session
from vla_embeddings.samples import make_instructions

NAME = "bulk-test"
THREADS = 2
BAD = -1
PATIENCE = 10  # seconds, only against hanging


class Doubler:
    """Encodes numbers as their doubles, two a batch and the last first, when it is let."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.loads = 0
        self.begun: list[list[int]] = []
        self.threads: set[str] = set()
        self.busy = threading.Semaphore(0)
        self.may_run = threading.Event()
        self.may_run.set()

    def load(self) -> "Doubler":
        self.loads += 1
        return self

    def batches(self, items: Sequence[int]) -> list[Batch]:
        places = [list(range(len(items)))[start : start + 2] for start in range(0, len(items), 2)]
        return [
            Batch(some, partial(self._run, [items[place] for place in some]))
            for some in reversed(places)
        ]

    def _run(self, items: list[int]) -> Vectors:
        self.begun.append(items)
        self.threads.add(threading.current_thread().name)
        self.busy.release()
        assert self.may_run.wait(PATIENCE)
        if BAD in items:
            raise ValueError("a bad item")
        return np.array(items, np.float32)[:, None].repeat(self.session.dimension, axis=1) * 2

    @contextmanager
    def held(self) -> Iterator[None]:
        """What runs within the block goes on when it is left."""
        self.may_run.clear()
        try:
            yield
        finally:
            self.may_run.set()

    async def all_busy(self) -> None:
        """Until every thread is at work."""
        for _ in range(THREADS):
            assert await asyncio.to_thread(self.busy.acquire, timeout=PATIENCE)


@pytest.fixture
def doubler(text_encoder: TextEncoder) -> Doubler:
    return Doubler(text_encoder.session)


@pytest.fixture
async def bulk(doubler: Doubler) -> AsyncIterator[Bulk[int]]:
    bulk = Bulk(NAME, doubler.load, threads=THREADS, nice=0)
    yield bulk
    doubler.may_run.set()
    bulk.close()


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(NAME)]


async def test_vectors_come_in_the_order_of_the_items(bulk: Bulk[int], doubler: Doubler) -> None:
    vectors = await bulk.encode(range(101))

    assert vectors.shape == (101, doubler.session.dimension)
    assert vectors.dtype == np.float32
    assert vectors[:, 0].tolist() == [2.0 * item for item in range(101)]


async def test_nothing_is_loaded_before_the_first_call(bulk: Bulk[int], doubler: Doubler) -> None:
    assert (doubler.loads, _threads()) == (0, [])

    await bulk.encode(range(3))

    assert doubler.loads == 1


async def test_every_thread_works_at_a_batch_of_its_own(bulk: Bulk[int], doubler: Doubler) -> None:
    with doubler.held():
        call = asyncio.create_task(bulk.encode(range(8)))
        await doubler.all_busy()
        assert sorted(doubler.begun) == [[4, 5], [6, 7]]
    await call

    assert len(doubler.threads) == THREADS


async def test_calls_at_the_same_time_take_turns(bulk: Bulk[int], doubler: Doubler) -> None:
    """A short one does not wait for the whole of a long one."""
    with doubler.held():
        long = asyncio.create_task(bulk.encode(range(1000)))
        await doubler.all_busy()
        short = asyncio.create_task(bulk.encode(range(2000, 2002)))
        await asyncio.sleep(0)

    await short
    assert len(doubler.begun) < 100
    await long


async def test_an_error_is_the_callers_and_ends_the_call(
    bulk: Bulk[int], doubler: Doubler
) -> None:
    with pytest.raises(ValueError, match="a bad item"):
        await bulk.encode([*range(1000), BAD])

    assert len(doubler.begun) < 100
    assert (await bulk.encode([1]))[0, 0] == 2


async def test_a_failed_load_is_told_and_tried_again(doubler: Doubler) -> None:
    load = failing_once(doubler.load, FileNotFoundError("no artefact yet"))
    bulk = Bulk(NAME, load, threads=THREADS, nice=0)
    with pytest.raises(FileNotFoundError, match="no artefact yet"):
        await bulk.encode([1])

    assert (await bulk.encode([1]))[0, 0] == 2
    bulk.close()


async def test_a_panic_of_native_code_is_the_callers_error(doubler: Doubler) -> None:
    bulk = Bulk(NAME, failing_once(doubler.load, Panic("poisoned")), threads=THREADS, nice=0)
    with pytest.raises(InferenceError, match="Panic: poisoned") as caught:
        await bulk.encode([1])

    assert isinstance(caught.value.__cause__, Panic)
    assert (await bulk.encode([1]))[0, 0] == 2
    bulk.close()


async def test_a_cancelled_call_leaves_nothing_waiting(bulk: Bulk[int], doubler: Doubler) -> None:
    with doubler.held():
        call = asyncio.create_task(bulk.encode(range(100)))
        await doubler.all_busy()
        call.cancel()
        await asyncio.wait([call])

    await bulk.encode([1])
    assert len(doubler.begun) == THREADS + 1


async def test_closing_finishes_what_is_at_work_and_fails_what_waits(
    bulk: Bulk[int], doubler: Doubler
) -> None:
    with doubler.held():
        call = asyncio.create_task(bulk.encode(range(100)))
        await doubler.all_busy()
        closing = asyncio.create_task(asyncio.to_thread(bulk.close))
        while not bulk._pool._closed:
            await asyncio.wait([closing], timeout=0.01)
        assert not (await asyncio.wait([closing], timeout=0.05))[0]
    await closing

    with pytest.raises(ServiceClosed, match="The service was cleaned up"):
        await call
    assert len(doubler.begun) == THREADS
    assert _threads() == []


async def test_after_closing_calls_are_refused(bulk: Bulk[int]) -> None:
    await bulk.encode([1])
    bulk.close()
    bulk.close()

    with pytest.raises(ServiceClosed, match="make a new EmbeddingService"):
        await bulk.encode([1])


async def test_texts_in_bulk_are_the_encoders_own_vectors(text_encoder: TextEncoder) -> None:
    texts = make_instructions(300)
    bulk = Bulk(NAME, lambda: text_encoder, threads=THREADS, nice=0)

    vectors = await bulk.encode(texts)

    np.testing.assert_allclose(vectors, text_encoder.encode(texts), rtol=0, atol=1e-5)
    bulk.close()
