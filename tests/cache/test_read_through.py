"""Vectors come from the cache where it has them, and are computed and stored where not."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_embeddings import EmbeddingCache
from vla_embeddings.cache import ReadThrough

KEYS = [f"embedding:instruction:{number}" for number in range(4)]


class Source:
    """Vector i is (i, i), and remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    async def __call__(self, positions: Sequence[int]) -> NDArray[np.float32]:
        self.asked.append(list(positions))
        return np.repeat(np.array(positions, np.float32)[:, None], 2, axis=1)


async def test_only_what_the_cache_lacks_is_computed(redis_url: str) -> None:
    cache, source = EmbeddingCache(redis_url=redis_url), Source()
    await cache.clear_pattern("*")
    vectors = ReadThrough(cache)
    await cache.set_many({KEYS[1]: np.array([1, 1], np.float32)})

    first = await vectors.many(KEYS, source, use_cache=True)
    second = await vectors.many(KEYS, source, use_cache=True)

    assert source.asked == [[0, 2, 3]]
    assert first.tolist() == second.tolist() == [[i, i] for i in range(4)]
    await cache.close()


async def test_a_call_past_the_cache_neither_reads_nor_writes_it(redis_url: str) -> None:
    cache, source = EmbeddingCache(redis_url=redis_url), Source()
    await cache.clear_pattern("*")
    vectors = ReadThrough(cache)

    await vectors.many(KEYS, source, use_cache=False)
    await vectors.many(KEYS, source, use_cache=True)
    await vectors.many(KEYS, source, use_cache=False)

    assert source.asked == [[0, 1, 2, 3]] * 3
    await cache.close()


async def test_without_a_cache_everything_is_computed() -> None:
    source = Source()

    await ReadThrough(None).many(KEYS, source, use_cache=True)

    assert source.asked == [[0, 1, 2, 3]]
