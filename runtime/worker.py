"""The thread that answers requests to one model, so that an event loop never does."""

import asyncio
import atexit
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.errors import ServiceClosed
from vla_embeddings.runtime.batches import even_batches
from vla_embeddings.runtime.encoders import Batch, Vectors
from vla_embeddings.runtime.thread_errors import no_thread, panics_as_errors
from vla_embeddings.together import together

Item = TypeVar("Item")
Cut = Callable[[Sequence[Item]], Sequence[Batch]]
"""Items to the batches that encode them; see `Encoder.batches`."""

OVERTAKING = 8
"""Batches of requests that go before bulk work that waits, until a batch of it has its turn."""


@dataclass(frozen=True, slots=True)
class _Job(Generic[Item]):
    items: Sequence[Item]
    future: asyncio.Future[Vectors]
    loop: asyncio.AbstractEventLoop
    vectors: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    """By the places of their items, as far as they are made."""

    @property
    def is_done(self) -> bool:
        return len(self.vectors) == len(self.items)

    def add(self, place: int, vector: NDArray[np.float32]) -> None:
        """Take the vector of an item; with the last one, deliver them all."""
        self.vectors[place] = vector
        if not self.is_done:
            return
        try:
            together = np.stack([self.vectors[place] for place in range(len(self.items))])
        except MemoryError:
            del self.vectors[place]  # a job that is done has been delivered
            raise
        self.deliver(together)

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

    An idle worker starts at once, so batching adds no wait. Each request has its vectors as soon
    as its own batches have run, a short text before the long ones. Bulk work, which a GPU has no
    other thread for, waits until no request does, but for one batch after every `OVERTAKING` of
    theirs. Where one fails, each that has no vectors yet is encoded again by itself: one bad item
    fails alone.

    Args:
        name: of the thread.
        load: returns what cuts items into batches; called on the thread at the first request, and
            again at the next one where it failed.
        batch: most items encoded together.
        size: how much work an item is; in bulk, items of like size are encoded together.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], Cut[Item]],
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
        self._overtaken = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def encode(self, items: Sequence[Item], *, bulk: bool = False) -> Vectors:
        """Vectors of the items, (n, dimension) float32, in their order.

        Args:
            items: at least one; more than a batch of them are bulk work in any case.
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
        cut: Cut[Item] | None = None
        while jobs := self._next_jobs():
            try:
                with panics_as_errors():
                    cut = cut or self._load()
            except Exception as error:
                for job in jobs:
                    job.deliver(error)
                continue
            _encode_jobs(jobs, cut)

    def _next_jobs(self) -> list[_Job[Item]]:
        """Wait for work, and take as much as fits into one batch; none when closed."""
        with self._changed:
            while not self._closed:
                queues = [self._requests, self._bulk]
                if self._overtaken == OVERTAKING:
                    queues.reverse()
                for queue in queues:
                    if jobs := self._take(queue):
                        overtaking = queue is self._requests and self._bulk
                        self._overtaken = self._overtaken + 1 if overtaking else 0
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


def _encode_jobs(jobs: Sequence[_Job[Item]], cut: Cut[Item]) -> None:
    places = [(job, place) for job in jobs for place in range(len(job.items))]
    try:
        with panics_as_errors():
            for batch in cut([job.items[place] for job, place in places]):
                for number, vector in zip(batch.places, batch.run(), strict=True):
                    job, place = places[number]
                    job.add(place, vector)
    except Exception as error:
        if len(jobs) == 1:
            jobs[0].deliver(error)
            return
        for job in jobs:
            if not job.is_done:
                job.vectors.clear()
                _encode_jobs([job], cut)
