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
        self._flight = SingleFlight[NDArray[np.float32]]()

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

        return (await self._flight.run((key, cache is not None), find)).copy()

    async def many(
        self,
        keys: Sequence[str],
        compute: Callable[[Sequence[int]], Awaitable[Vectors]],
        *,
        use_cache: bool,
        holds: Callable[[], bool],
        names: Sequence[int] = (),
    ) -> Vectors:
        """The vectors under distinct keys, in their order; the caller's own.

        Calls for the same keys and names share one computation. Others do not, `one` among them,
        which would have to wait for all keys.

        Args:
            keys: at least one.
            compute: gives the vectors of some keys, by their positions in `keys`.
            use_cache: look there first, and store there what was computed.
            holds: asked once they are computed: whether the keys are still their own.
            names: what the errors of `compute` call the keys, if anything.
        """
        cache = self._cache if use_cache else None

        async def find() -> Vectors:
            if cache is None:
                return await compute(range(len(keys)))
            return await _find_many(cache, keys, compute, holds)

        call = (tuple(keys), tuple(names), cache is not None)
        return (await self._flight.run(call, find)).copy()


async def _find_many(
    cache: EmbeddingCache,
    keys: Sequence[str],
    compute: Callable[[Sequence[int]], Awaitable[Vectors]],
    holds: Callable[[], bool],
) -> Vectors:
    found = await cache.get_many(list(keys))
    known = {key: vector for key, vector in found.items() if vector is not None}
    missing = [position for position, key in enumerate(keys) if key not in known]
    if missing:
        vectors = await compute(missing)
        computed = {keys[i]: vector for i, vector in zip(missing, vectors, strict=True)}
        if holds():
            await cache.set_many(computed)
        known |= computed
    return np.stack([known[key] for key in keys])
