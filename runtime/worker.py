"""The thread that answers requests to one model, so that an event loop never does."""

import asyncio
import atexit
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from vla_embeddings.errors import ServiceClosed
from vla_embeddings.runtime.batches import even_batches
from vla_embeddings.runtime.encoders import Vectors
from vla_embeddings.runtime.thread_errors import no_thread, panics_as_errors
from vla_embeddings.together import together

Item = TypeVar("Item")
Encode = Callable[[Sequence[Item]], Vectors]
"""Items to vectors (n, dimension) float32, in their order."""


@dataclass(frozen=True, slots=True)
class _Job(Generic[Item]):
    items: Sequence[Item]
    future: asyncio.Future[Vectors]
    loop: asyncio.AbstractEventLoop

    def deliver(self, result: Vectors | Exception) -> None:
        """Hand the result to the caller's loop; a caller that has gone gets nothing."""

        def settle() -> None:
            if self.future.done():
                return
            if isinstance(result, Exception):
                self.future.set_exception(result)
            else:
                self.future.set_result(result)

        try:
            self.loop.call_soon_threadsafe(settle)
        except RuntimeError:  # the loop was closed meanwhile
            return


class Worker(Generic[Item]):
    """Encodes on one thread; requests that arrive while it is busy are encoded together next.

    An idle worker starts at once, so batching adds no wait. Bulk work, which a GPU has no other
    thread for, waits until no request does. A batch that fails is encoded again request by
    request: one bad item fails alone.

    Args:
        name: of the thread.
        load: returns the encoder; called on the thread at the first request, and again at the
            next one where it failed.
        batch: most items encoded together.
        size: how much work an item is; in bulk, items of like size are encoded together.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], Encode[Item]],
        *,
        batch: int,
        size: Callable[[Item], int] = lambda item: 1,
    ) -> None:
        self._name = name
        self._load = load
        self._batch = batch
        self._size = size
        self._requests: deque[_Job[Item]] = deque()
        self._bulk: deque[_Job[Item]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def encode(self, items: Sequence[Item], *, bulk: bool = False) -> Vectors:
        """Vectors of the items, (n, dimension) float32, in their order.

        Args:
            items: more than a batch of them are bulk work in any case.
            bulk: let requests go first.

        Raises:
            ServiceClosed: after `close()`.
            InferenceError: no thread can be had.
            EmbeddingError: what loading or encoding raised.
        """
        if len(items) <= self._batch:
            return await self._submit(items, bulk=bulk)
        order = sorted(range(len(items)), key=lambda index: self._size(items[index]))
        # One is encoded while the next waits.
        batches = (
            self._encode_batch([items[order[place]] for place in places])
            for places in even_batches(len(items), self._batch)
        )
        sorted_vectors = np.concatenate(await together(batches, at_once=2))
        vectors = np.empty_like(sorted_vectors)
        vectors[order] = sorted_vectors
        return vectors

    def close(self) -> None:
        """Finish the batch at hand, fail what waits, end the thread, free the model."""
        with self._changed:
            self._closed = True
            abandoned = [*self._requests, *self._bulk]
            self._requests.clear()
            self._bulk.clear()
            self._changed.notify()
            thread = self._thread
        for job in abandoned:
            job.deliver(
                ServiceClosed("The service was cleaned up before this embedding was made.")
            )
        if thread is not None:
            thread.join()
            atexit.unregister(self.close)

    async def _encode_batch(self, items: Sequence[Item]) -> Vectors:
        return await self._submit(items, bulk=True)

    def _submit(self, items: Sequence[Item], *, bulk: bool) -> asyncio.Future[Vectors]:
        loop = asyncio.get_running_loop()
        job = _Job(items, loop.create_future(), loop)
        with self._changed:
            if self._closed:
                raise ServiceClosed("The service was cleaned up; make a new EmbeddingService.")
            if self._thread is None:
                self._thread = self._start()
            (self._bulk if bulk else self._requests).append(job)
            self._changed.notify()
        return job.future

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise no_thread(error) from error
        # ONNX Runtime aborts the process when it ends in the middle of a run.
        atexit.register(self.close)
        return thread

    def _work(self) -> None:
        encode: Encode[Item] | None = None
        while jobs := self._next_jobs():
            try:
                with panics_as_errors():
                    encode = encode or self._load()
            except Exception as error:
                for job in jobs:
                    job.deliver(error)
                continue
            _encode_jobs(jobs, encode)

    def _next_jobs(self) -> list[_Job[Item]]:
        """Wait for work, and take as much as fits into one batch; none when closed."""
        with self._changed:
            while not self._closed:
                if jobs := self._take(self._requests) or self._take(self._bulk):
                    return jobs
                self._changed.wait()
            return []

    def _take(self, queue: deque[_Job[Item]]) -> list[_Job[Item]]:
        taken: list[_Job[Item]] = []
        room = self._batch
        while queue and (not taken or len(queue[0].items) <= room):
            job = queue.popleft()
            if not job.future.cancelled():
                taken.append(job)
                room -= len(job.items)
        return taken


def _encode_jobs(jobs: Sequence[_Job[Item]], encode: Encode[Item]) -> None:
    items = [item for job in jobs for item in job.items]
    try:
        with panics_as_errors():
            vectors = encode(items)
    except Exception as error:
        if len(jobs) == 1:
            jobs[0].deliver(error)
            return
        for job in jobs:
            _encode_jobs([job], encode)
        return
    start = 0
    for job in jobs:
        job.deliver(vectors[start : start + len(job.items)])
        start += len(job.items)
