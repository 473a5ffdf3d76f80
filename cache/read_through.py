"""Vectors from the cache where it has them, computed and stored where not."""

import logging
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.cache.embedding_cache import EmbeddingCache
from vla_embeddings.cache.flight import SingleFlight

logger = logging.getLogger(__name__)

Vector = NDArray[np.float32]
"""(dimension,)."""
Vectors = NDArray[np.float32]
"""(n, dimension)."""


class ReadThrough:
    """Puts a cache, if any, before what computes vectors.

    Args:
        cache: None computes always.
    """

    def __init__(self, cache: EmbeddingCache | None) -> None:
        self._cache = cache
        self._flight: SingleFlight[Vector] = SingleFlight()

    async def one(
        self,
        key: str,
        compute: Callable[[], Awaitable[Vector]],
        *,
        use_cache: bool,
        holds: Callable[[], bool],
    ) -> Vector:
        """The vector under a key, computed once for all who ask meanwhile; the caller's own.

        Args:
            key: where it is kept.
            compute: gives it.
            use_cache: look there first, and store it there.
            holds: asked once it is computed: whether the key is still its own.
        """
        cache = self._cache if use_cache else None

        async def find() -> Vector:
            if cache is not None and (known := await cache.get_embedding(key)) is not None:
                return known
            vector = await compute()
            logger.debug("Generated embedding shape: %s", vector.shape)
            if cache is not None and holds():
                await cache.set_embedding(key, vector)
            return vector

        flight = key if cache is not None else f"uncached {key}"
        return (await self._flight.run(flight, find)).copy()

    async def many(
        self,
        keys: Sequence[str],
        compute: Callable[[Sequence[int]], Awaitable[Vectors]],
        *,
        use_cache: bool,
        holds: Callable[[], bool],
    ) -> Vectors:
        """The vectors under distinct keys, in their order.

        Args:
            keys: at least one.
            compute: gives the vectors of some keys, by their positions in `keys`.
            use_cache: look there first, and store there what was computed.
            holds: asked once they are computed: whether the keys are still their own.
        """
        if self._cache is None or not use_cache:
            return await compute(range(len(keys)))
        found = await self._cache.get_many(list(keys))
        known = {key: vector for key, vector in found.items() if vector is not None}
        missing = [position for position, key in enumerate(keys) if key not in known]
        if missing:
            vectors = await compute(missing)
            computed = {keys[i]: vector for i, vector in zip(missing, vectors, strict=True)}
            if holds():
                await self._cache.set_many(computed)
            known |= computed
        return np.stack([known[key] for key in keys])
