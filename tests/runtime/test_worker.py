"""Requests share one thread and its batches, and nothing that goes wrong with others."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runtime.conftest import Panic, failing_once, refuse_a_thread_once
from vla_embeddings.errors import InferenceError, ServiceClosed
from vla_embeddings.runtime.encoders import Batch
from vla_embeddings.runtime.worker import OVERTAKING, Worker

NAME = "worker-test"
BATCH = 4
BAD = -1
PANIC = -2
PATIENCE = 10  # seconds, only against hanging


class Doubler:
    """Encodes numbers as their doubles, when it is let, and remembers its batches."""

    def __init__(self) -> None:
        self.loads = 0
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.busy = threading.Event()
        self.may_run = threading.Event()
        self.may_run.set()

    def load(self) -> "Doubler":
        self.loads += 1
        return self

    def __call__(self, items: Sequence[int]) -> list[Batch]:
        return [Batch(range(len(items)), partial(self.run, items))]

    def run(self, items: Sequence[int]) -> NDArray[np.float32]:
        self.batches.append(list(items))
        self.threads.add(threading.current_thread().name)
        self.busy.set()
        assert self.may_run.wait(PATIENCE)
        if BAD in items:
            raise ValueError("a bad item")
        if PANIC in items:
            raise Panic("index out of bounds")
        return np.array(items, np.float32)[:, None] * 2


class OneByOne(Doubler):
    """Encodes the largest number first, each in a batch of its own, and one when it is let."""

    HELD = 5

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[Batch]:
        places = sorted(range(len(items)), key=items.__getitem__, reverse=True)
        return [Batch([place], partial(self.run, [items[place]])) for place in places]

    def run(self, items: Sequence[int]) -> NDArray[np.float32]:
        assert self.HELD not in items or self.may_go_on.wait(PATIENCE)
        return super().run(items)


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


@pytest.fixture
async def worker(doubler: Doubler) -> AsyncIterator[Worker[int]]:
    worker = Worker(NAME, doubler.load, batch=BATCH)
    yield worker
    doubler.may_run.set()
    worker.close()


Request = asyncio.Task[NDArray[np.float32]]


async def _keep_busy(worker: Worker[int], doubler: Doubler) -> Request:
    """A request, 0, that stays at work until `doubler.may_run` is set."""
    doubler.may_run.clear()
    request = asyncio.create_task(worker.encode([0]))
    assert await asyncio.to_thread(doubler.busy.wait, PATIENCE)
    return request


async def _ask(worker: Worker[int], *items: int) -> list[Request]:
    """A waiting request for each item."""
    requests = [asyncio.create_task(worker.encode([item])) for item in items]
    await asyncio.sleep(0)
    return requests


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(NAME)]


async def test_nothing_is_loaded_before_the_first_request(
    worker: Worker[int], doubler: Doubler
) -> None:
    assert (doubler.loads, _threads()) == (0, [])

    await worker.encode([1])

    assert (doubler.loads, _threads()) == (1, [NAME])


async def test_all_requests_run_on_one_thread_with_one_encoder(
    worker: Worker[int], doubler: Doubler
) -> None:
    await asyncio.gather(*(worker.encode([item]) for item in range(50)))

    assert doubler.threads == {NAME}
    assert doubler.loads == 1


async def test_requests_go_before_bulk_work(worker: Worker[int], doubler: Doubler) -> None:
    first = await _keep_busy(worker, doubler)
    bulk = asyncio.create_task(worker.encode(range(10, 10 + 3 * BATCH)))
    late = asyncio.create_task(worker.encode([99], bulk=True))
    await asyncio.sleep(0)
    [request] = await _ask(worker, 1)

    doubler.may_run.set()
    await asyncio.gather(first, bulk, late, request)

    assert doubler.batches[:2] == [[0], [1]]
    assert sorted(item for batch in doubler.batches[2:] for item in batch) == [*range(10, 22), 99]


async def test_bulk_work_gets_on_however_many_requests_wait(
    worker: Worker[int], doubler: Doubler
) -> None:
    first = await _keep_busy(worker, doubler)
    bulk = [asyncio.create_task(worker.encode([number] * BATCH, bulk=True)) for number in (98, 99)]
    requests = await _ask(worker, *range(3 * OVERTAKING * BATCH))

    doubler.may_run.set()
    await asyncio.gather(first, *bulk, *requests)

    turns = [doubler.batches.index([number] * BATCH) for number in (98, 99)]
    assert turns == [1 + OVERTAKING, 2 + 2 * OVERTAKING]


async def test_bulk_work_whose_caller_has_gone_has_no_turn(
    worker: Worker[int], doubler: Doubler
) -> None:
    first = await _keep_busy(worker, doubler)
    requests = await _ask(worker, *range(OVERTAKING * BATCH + 1))
    bulk = asyncio.create_task(worker.encode([100], bulk=True))
    await asyncio.sleep(0)

    bulk.cancel()
    await asyncio.wait([bulk])
    doubler.may_run.set()
    await asyncio.gather(first, *requests)

    assert [100] not in doubler.batches


async def test_a_request_does_not_wait_for_others_that_run_after_it() -> None:
    """Each has its vectors once its own batches have run, also where a later one fails."""
    doubler = OneByOne()
    worker = Worker(NAME, doubler.load, batch=BATCH)
    first = await _keep_busy(worker, doubler)
    slow, short = await _ask(worker, OneByOne.HELD, 9)
    both = asyncio.create_task(worker.encode([BAD, 8]))
    await asyncio.sleep(0)

    doubler.may_run.set()
    await asyncio.gather(first, short)
    assert not slow.done()
    doubler.may_go_on.set()
    await slow

    with pytest.raises(ValueError, match="a bad item"):
        await both
    worker.close()
    assert doubler.batches == [[0], [9], [8], [OneByOne.HELD], [BAD], [8], [BAD]]


async def test_bulk_work_is_batched_by_size_and_returned_in_order(doubler: Doubler) -> None:
    worker = Worker(NAME, doubler.load, batch=BATCH, size=lambda item: item % 2)

    vectors = await worker.encode(range(2 * BATCH))
    worker.close()

    assert doubler.batches == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert vectors[:, 0].tolist() == [2.0 * item for item in range(2 * BATCH)]


async def test_bulk_work_is_cut_into_even_batches(worker: Worker[int], doubler: Doubler) -> None:
    await worker.encode(range(2 * BATCH + 1))

    assert list(map(len, doubler.batches)) == [3, 3, 3]


async def test_bulk_work_that_is_cancelled_or_fails_leaves_nothing_waiting(
    worker: Worker[int], doubler: Doubler
) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    with pytest.raises(ValueError, match="a bad item"):
        await worker.encode([BAD] * (5 * BATCH))
    first = await _keep_busy(worker, doubler)
    bulk = asyncio.create_task(worker.encode(range(10, 10 + 5 * BATCH)))
    await asyncio.sleep(0)

    bulk.cancel()
    await asyncio.wait([bulk])
    doubler.may_run.set()
    await first

    assert (await worker.encode([1])).tolist() == [[2.0]]
    assert doubler.batches[-2:] == [[0], [1]]
    gc.collect()
    assert faults == []


async def test_requests_that_arrive_meanwhile_are_encoded_together(
    worker: Worker[int], doubler: Doubler
) -> None:
    first = await _keep_busy(worker, doubler)
    others = await _ask(worker, 1, 2, 3, 4, 5)

    doubler.may_run.set()
    vectors = await asyncio.gather(first, *others)

    assert doubler.batches == [[0], [1, 2, 3, 4], [5]]
    assert [vector.tolist() for vector in vectors] == [[[2.0 * item]] for item in range(6)]


async def test_a_long_sequence_is_cut_into_batches_and_kept_in_order(
    worker: Worker[int], doubler: Doubler
) -> None:
    vectors = await worker.encode(range(10))

    assert vectors[:, 0].tolist() == [2.0 * item for item in range(10)]
    assert max(map(len, doubler.batches)) == BATCH


async def test_a_bad_item_fails_alone(worker: Worker[int], doubler: Doubler) -> None:
    first = await _keep_busy(worker, doubler)
    others = await _ask(worker, 1, BAD, 3)

    doubler.may_run.set()
    results = await asyncio.gather(first, *others, return_exceptions=True)

    assert isinstance(results[2], ValueError)
    assert [float(r[0, 0]) for r in results if not isinstance(r, BaseException)] == [0, 2, 6]


async def test_a_request_is_answered_where_memory_lacked_to_put_its_vectors_together(
    worker: Worker[int], doubler: Doubler, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await _keep_busy(worker, doubler)
    others = await _ask(worker, 1, 2)
    stack, faults = np.stack, iter([None, MemoryError()])

    def stack_or_fail(vectors: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        if fault := next(faults, None):
            raise fault
        return stack(vectors)

    monkeypatch.setattr(np, "stack", stack_or_fail)
    doubler.may_run.set()
    async with asyncio.timeout(PATIENCE):
        results = await asyncio.gather(first, *others)

    assert [float(result[0, 0]) for result in results] == [0, 2, 4]


async def test_a_cancelled_waiting_request_is_not_encoded(
    worker: Worker[int], doubler: Doubler
) -> None:
    first = await _keep_busy(worker, doubler)
    gone, stays = await _ask(worker, 1, 2)

    gone.cancel()
    await asyncio.wait([gone])
    doubler.may_run.set()
    await asyncio.gather(first, stays)

    assert doubler.batches == [[0], [2]]


async def test_a_caller_cancelled_at_work_harms_nobody(
    worker: Worker[int], doubler: Doubler
) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    first = await _keep_busy(worker, doubler)
    [other] = await _ask(worker, 1)

    first.cancel()
    await asyncio.wait([first])
    doubler.may_run.set()

    assert (await other).tolist() == [[2.0]]
    assert (await worker.encode([7])).tolist() == [[14.0]]
    assert faults == []


async def test_a_failed_load_is_told_and_tried_again(doubler: Doubler) -> None:
    load = failing_once(doubler.load, FileNotFoundError("no artefact yet"))
    worker = Worker(NAME, load, batch=BATCH)
    with pytest.raises(FileNotFoundError, match="no artefact yet"):
        await worker.encode([1])

    assert (await worker.encode([1])).tolist() == [[2.0]]
    worker.close()


async def test_a_panic_of_native_code_is_an_error_of_its_own_request(
    worker: Worker[int], doubler: Doubler
) -> None:
    first = await _keep_busy(worker, doubler)
    others = await _ask(worker, 1, PANIC, 3)

    doubler.may_run.set()
    results = await asyncio.gather(first, *others, return_exceptions=True)

    assert isinstance(results[2], InferenceError)
    assert isinstance(results[2].__cause__, Panic)
    assert [float(r[0, 0]) for r in results if not isinstance(r, BaseException)] == [0, 2, 6]
    assert (await worker.encode([7])).tolist() == [[14.0]]


async def test_a_panic_while_loading_is_told_and_loading_tried_again(doubler: Doubler) -> None:
    worker = Worker(NAME, failing_once(doubler.load, Panic("poisoned")), batch=BATCH)
    with pytest.raises(InferenceError, match="Panic: poisoned"):
        await worker.encode([1])

    assert (await worker.encode([1])).tolist() == [[2.0]]
    worker.close()


async def test_a_thread_that_the_system_refuses_is_asked_for_again(
    worker: Worker[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_a_thread_once(monkeypatch)
    with pytest.raises(InferenceError, match="raise the limit of threads"):
        await worker.encode([1])

    assert (await worker.encode([2])).tolist() == [[4.0]]


async def test_closing_finishes_what_is_at_work_and_fails_what_waits(
    worker: Worker[int], doubler: Doubler
) -> None:
    first = await _keep_busy(worker, doubler)
    [waiting] = await _ask(worker, 1)

    closing = asyncio.create_task(asyncio.to_thread(worker.close))
    with pytest.raises(ServiceClosed):
        await waiting
    assert not (await asyncio.wait([closing], timeout=0.05))[0]
    doubler.may_run.set()
    await closing

    assert (await first).tolist() == [[0.0]]
    assert _threads() == []


async def test_after_closing_requests_are_refused(worker: Worker[int]) -> None:
    await worker.encode([1])
    worker.close()
    worker.close()

    with pytest.raises(ServiceClosed, match="make a new EmbeddingService"):
        await worker.encode([1])


def test_an_event_loop_that_was_closed_meanwhile_harms_nobody(doubler: Doubler) -> None:
    worker = Worker(NAME, doubler.load, batch=BATCH)

    async def leave_early() -> None:
        await _keep_busy(worker, doubler)

    asyncio.run(leave_early())
    doubler.may_run.set()

    assert asyncio.run(worker.encode([3])).tolist() == [[6.0]]
    worker.close()


def test_event_loops_in_several_threads_share_a_worker(doubler: Doubler) -> None:
    worker = Worker(NAME, doubler.load, batch=BATCH)

    async def ask(numbers: range) -> list[NDArray[np.float32]]:
        return await asyncio.gather(*(worker.encode([number]) for number in numbers))

    with ThreadPoolExecutor(2) as threads:
        ranges = [range(100), range(100, 200)]
        results = list(threads.map(lambda numbers: asyncio.run(ask(numbers)), ranges))

    for numbers, vectors in zip(ranges, results, strict=True):
        assert [vector.tolist() for vector in vectors] == [[[2.0 * n]] for n in numbers]
    worker.close()


def test_a_process_that_ends_in_the_middle_of_a_run_ends_well(models_dir: Path) -> None:
    """Nobody has to call cleanup() for an exit without a crash."""
    program = """
import asyncio, sys
from vla_embeddings import EmbeddingConfig, EmbeddingService

async def main():
    service = EmbeddingService(config=EmbeddingConfig(models_dir=sys.argv[1]))
    await service.get_instruction_embedding("warm up")
    texts = [f"move block {number}" for number in range(5000)]
    task = asyncio.create_task(service.batch_generate_embeddings(texts=texts))
    await asyncio.sleep(0.1)

asyncio.run(main())
"""

    result = subprocess.run([sys.executable, "-c", program, models_dir], timeout=60)

    assert result.returncode == 0
