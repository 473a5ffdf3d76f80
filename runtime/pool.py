"""Threads that work for event loops, until they are closed."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from vla_embeddings.errors import ServiceClosed
from vla_embeddings.runtime.thread_errors import no_thread, panics_as_errors
from vla_embeddings.runtime.threads import lower_priority
from vla_embeddings.together import together

Result = TypeVar("Result")


class Pool:
    """Does work on threads, first come, first served.

    Args:
        name: of the threads.
        threads: how many; they are started when there is work.
        nice: see `lower_priority`.
        further: likewise.
    """

    def __init__(self, name: str, *, threads: int, nice: int, further: int = 0) -> None:
        self.threads = threads
        # One more for each thread than it works at, so that none waits for the event loop.
        self._at_once = 2 * threads
        self._threads = ThreadPoolExecutor(
            threads, name, initializer=lower_priority, initargs=(nice, further)
        )
        self._closed = False

    async def run(self, work: Callable[[], Result]) -> Result:
        """What `work()` returns. Where the caller is cancelled before its turn, it is not done.

        Raises:
            ServiceClosed: `close()` came first.
            InferenceError: no thread can be had, or `work` failed with what is no `Exception`.
            Others: as `work`.
        """

        def unless_closed() -> Result:
            if self._closed:
                raise ServiceClosed(
                    "The service was cleaned up before these embeddings were made."
                )
            with panics_as_errors():
                return work()

        try:
            done = asyncio.get_running_loop().run_in_executor(self._threads, unless_closed)
        except RuntimeError as error:
            if not self._closed:
                raise no_thread(error) from error
            raise ServiceClosed(
                "The service was cleaned up; make a new EmbeddingService."
            ) from error
        return await done

    async def run_all(self, work: Iterable[Callable[[], Result]]) -> list[Result]:
        """What each of `work` returns, in order; calls at the same time take turns, part by part.

        Raises:
            Others: as `run`; the rest is not done then.
        """
        return await together(map(self.run, work), at_once=self._at_once)

    def share(self, work: Sequence[Callable[[], Result]]) -> list[Result]:
        """What each of `work` returns, in order, done by the calling thread and those that idle.

        What none of them has begun once the caller comes to it, the caller does itself: it never
        waits behind what others want done.

        Raises:
            Others: as `work`.
        """
        mine, *others = work
        offered = [(each, self._offer(each)) for each in others]
        return [
            mine(),
            *(
                offer.result() if offer and not offer.cancel() else each()
                for each, offer in offered
            ),
        ]

    def close(self) -> None:
        """Finish the work at hand, fail what waits, end the threads."""
        self._closed = True
        self._threads.shutdown()

    def _offer(self, work: Callable[[], Result]) -> Future[Result] | None:
        try:
            return self._threads.submit(work)
        except RuntimeError:  # closed meanwhile, or no thread can be had
            return None
