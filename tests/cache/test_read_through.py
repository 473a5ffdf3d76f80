"""Vectors come from the cache where it has them, and are computed and stored where not."""

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.cache.servers import PatientCache
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
    cache, source = PatientCache(redis_url=redis_url), Source()
    await cache.clear_pattern("*")
    vectors = ReadThrough(cache)
    await cache.set_many({KEYS[1]: np.array([1, 1], np.float32)})

    first = await vectors.many(KEYS, source, use_cache=True, holds=lambda: True)
    second = await vectors.many(KEYS, source, use_cache=True, holds=lambda: True)

    assert source.asked == [[0, 2, 3]]
    assert first.tolist() == second.tolist() == [[i, i] for i in range(4)]
    await cache.close()


async def test_a_call_past_the_cache_neither_reads_nor_writes_it(redis_url: str) -> None:
    cache, source = PatientCache(redis_url=redis_url), Source()
    await cache.clear_pattern("*")
    vectors = ReadThrough(cache)

    await vectors.many(KEYS, source, use_cache=False, holds=lambda: True)
    await vectors.many(KEYS, source, use_cache=True, holds=lambda: True)
    await vectors.many(KEYS, source, use_cache=False, holds=lambda: True)

    assert source.asked == [[0, 1, 2, 3]] * 3
    await cache.close()


async def test_what_is_no_longer_a_keys_own_is_given_and_not_stored(redis_url: str) -> None:
    cache, source = PatientCache(redis_url=redis_url), Source()
    await cache.clear_pattern("*")
    vectors = ReadThrough(cache)

    async def compute() -> NDArray[np.float32]:
        return np.zeros(2, np.float32)

    many = await vectors.many(KEYS, source, use_cache=True, holds=lambda: False)
    one = await vectors.one(KEYS[0], compute, use_cache=True, holds=lambda: False)

    assert (many.shape, one.shape) == ((4, 2), (2,))
    assert await cache.get_many(KEYS) == dict.fromkeys(KEYS)
    await cache.close()


async def test_without_a_cache_everything_is_computed() -> None:
    source = Source()

    await ReadThrough(None).many(KEYS, source, use_cache=True, holds=lambda: True)

    assert source.asked == [[0, 1, 2, 3]]


async def test_calls_for_the_same_keys_at_once_share_one_computation_and_no_array() -> None:
    source, vectors = Source(), ReadThrough(None)

    first, second = await asyncio.gather(
        *(vectors.many(KEYS, source, use_cache=True, holds=lambda: True) for _ in range(2))
    )
    first[:] = 7

    assert source.asked == [[0, 1, 2, 3]]
    assert second.tolist() == [[i, i] for i in range(4)]


async def test_calls_that_name_the_keys_otherwise_compute_for_themselves() -> None:
    """Or an error would tell one caller the other's names."""
    source, vectors = Source(), ReadThrough(None)

    await asyncio.gather(
        *(
            vectors.many(KEYS, source, use_cache=True, holds=lambda: True, names=names)
            for names in ([0, 1, 2, 3], [4, 5, 6, 7])
        )
    )

    assert source.asked == [[0, 1, 2, 3]] * 2
