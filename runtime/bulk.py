"""Many items at once: every core encodes batches of its own."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from vla_embeddings.errors import InferenceError, ServiceClosed
from vla_embeddings.runtime.encoders import Encoder, Vectors, in_order
from vla_embeddings.runtime.threads import lower_priority
from vla_embeddings.together import together

STEP_BACK = 5
"""How far bulk work's threads step back from those of requests, in steps of `nice`."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Bulk(Generic[Item]):
    """Encodes batches on as many threads as there are cores, each batch on one of them.

    That is faster than one batch after the other on all cores: no thread waits for another
    between two operators. docs/adr/0005-throughput.md has the measurements.

    Args:
        name: of the threads.
        load: returns the encoder, whose runs use the calling thread alone; called on a thread,
            at every call.
        threads: how many.
        nice: of requests' threads; see `lower_priority`.
    """

    def __init__(
        self, name: str, load: Callable[[], Encoder[Item]], *, threads: int, nice: int
    ) -> None:
        self._load = load
        self._threads = threads
        self._pool = ThreadPoolExecutor(
            threads, name, initializer=lower_priority, initargs=(nice, STEP_BACK)
        )
        self._closed = False

    async def encode(self, items: Sequence[Item]) -> Vectors:
        """Vectors of the items, (n, dimension) float32, in their order.

        Calls at the same time take turns, batch by batch.

        Raises:
            ServiceClosed: `close()` came first.
            EmbeddingError: what loading or encoding raised.
        """
        encoder = await self._on_thread(self._load)
        batches = await self._on_thread(lambda: encoder.batches(items))
        # One more for each thread than it works at, so that none waits for the event loop.
        parts = await together(
            (self._on_thread(batch.run) for batch in batches), at_once=2 * self._threads
        )
        return in_order(batches, parts, encoder.session.dimension)

    def close(self) -> None:
        """Finish the batches at hand, fail what waits, end the threads."""
        self._closed = True
        self._pool.shutdown()

    async def _on_thread(self, work: Callable[[], Result]) -> Result:
        def unless_closed() -> Result:
            if self._closed:
                raise ServiceClosed(
                    "The service was cleaned up before these embeddings were made."
                )
            return work()

        try:
            done = asyncio.get_running_loop().run_in_executor(self._pool, unless_closed)
        except RuntimeError as error:
            if not self._closed:
                raise InferenceError(f"No thread can be had for bulk work: {error}.") from error
            raise ServiceClosed(
                "The service was cleaned up; make a new EmbeddingService."
            ) from error
        return await done
