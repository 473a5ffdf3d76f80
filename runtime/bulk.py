"""Many items at once: every core encodes batches of its own."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from vla_embeddings.runtime.encoders import Encoder, Vectors, in_order
from vla_embeddings.runtime.pool import Pool

STEP_BACK = 5
"""How far bulk work's threads step back from those of requests, in steps of `nice`."""

Item = TypeVar("Item")


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
        self._pool = Pool(name, threads=threads, nice=nice, further=STEP_BACK)

    async def encode(self, items: Sequence[Item]) -> Vectors:
        """Vectors of the items, (n, dimension) float32, in their order.

        Calls at the same time take turns, batch by batch.

        Raises:
            ServiceClosed: `close()` came first.
            InferenceError: no thread can be had.
            EmbeddingError: what loading or encoding raised.
        """
        encoder = await self._pool.run(self._load)
        batches = await self._pool.run(lambda: encoder.batches(items))
        parts = await self._pool.run_all(batch.run for batch in batches)
        return in_order(batches, parts, encoder.session.dimension)

    def close(self) -> None:
        """Finish the batches at hand, fail what waits, end the threads."""
        self._pool.close()
