"""The thread that runs one model, so that an event loop never does."""

import asyncio
import atexit
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.errors import Overloaded, ServiceClosed

Item = TypeVar("Item")
Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[Item]], Vectors]
"""Items to vectors (n, dimension) float32, in their order."""

MAX_WAITING = 4096


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

    An idle worker starts at once, so batching adds no wait. A batch that fails is encoded again
    request by request: one bad item fails alone.

    Args:
        name: of the thread.
        load: returns the encoder; called on the thread at the first request, and again at the
            next one where it failed.
        batch: most items encoded together.
    """

    def __init__(self, name: str, load: Callable[[], Encode[Item]], *, batch: int) -> None:
        self._name = name
        self._load = load
        self._batch = batch
        self._jobs: deque[_Job[Item]] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def encode(self, items: Sequence[Item]) -> Vectors:
        """Vectors of the items, (n, dimension) float32, in their order.

        Long sequences are cut into batches, so that others' requests run in between.

        Raises:
            Overloaded: too many items wait already.
            ServiceClosed: after `close()`.
            EmbeddingError: what loading or encoding raised.
        """
        parts = [
            await self._submit(items[start : start + self._batch])
            for start in range(0, len(items), self._batch)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def close(self) -> None:
        """Finish the batch at hand, fail what waits, end the thread, free the model."""
        with self._changed:
            self._closed = True
            abandoned = list(self._jobs)
            self._jobs.clear()
            self._changed.notify()
            thread = self._thread
        for job in abandoned:
            job.deliver(
                ServiceClosed("The service was cleaned up before this embedding was made.")
            )
        if thread is not None:
            thread.join()
            atexit.unregister(self.close)

    def _submit(self, items: Sequence[Item]) -> asyncio.Future[Vectors]:
        loop = asyncio.get_running_loop()
        job = _Job(items, loop.create_future(), loop)
        with self._changed:
            if self._closed:
                raise ServiceClosed("The service was cleaned up; make a new EmbeddingService.")
            if self._waiting + len(items) > MAX_WAITING:
                raise Overloaded(
                    f"{self._waiting:,} embeddings are waiting already (at most {MAX_WAITING:,}). "
                    "Ask again later, or embed in bulk with batch_generate_embeddings."
                )
            self._jobs.append(job)
            self._waiting += len(items)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
                # ONNX Runtime aborts the process when it ends in the middle of a run.
                atexit.register(self.close)
            self._changed.notify()
        return job.future

    def _work(self) -> None:
        encode: Encode[Item] | None = None
        while jobs := self._next_jobs():
            try:
                encode = encode or self._load()
            except Exception as error:
                for job in jobs:
                    job.deliver(error)
                continue
            _encode_jobs(jobs, encode)

    def _next_jobs(self) -> list[_Job[Item]]:
        """Wait for requests, and take as many as fit into one batch; none when closed."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    return []
                taken: list[_Job[Item]] = []
                room = self._batch
                while self._jobs and (not taken or len(self._jobs[0].items) <= room):
                    job = self._jobs.popleft()
                    self._waiting -= len(job.items)
                    if not job.future.cancelled():
                        taken.append(job)
                        room -= len(job.items)
                if taken:
                    return taken


def _encode_jobs(jobs: Sequence[_Job[Item]], encode: Encode[Item]) -> None:
    items = [item for job in jobs for item in job.items]
    try:
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
