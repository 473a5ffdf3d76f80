"""The calls of the document, against a real server."""

import numpy as np
import redis.asyncio
from numpy.typing import NDArray

from vla_embeddings.cache import EmbeddingCache

Vectors = dict[str, NDArray[np.float32]]


async def test_a_vector_comes_back_as_it_was_stored(
    cache: EmbeddingCache, vectors: Vectors
) -> None:
    key, vector = next(iter(vectors.items()))

    assert await cache.get_embedding(key) is None
    assert await cache.set_embedding(key, vector) is True
    found = await cache.get_embedding(key)

    assert found is not None
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, vector)


async def test_a_batch_keeps_its_order_and_names_what_is_missing(
    cache: EmbeddingCache, vectors: Vectors
) -> None:
    assert all((await cache.set_many(vectors)).values())
    keys = [*reversed(vectors), "instruction:unknown"]

    found = await cache.get_many(keys)

    assert list(found) == keys
    assert found.pop("instruction:unknown") is None
    for key, vector in found.items():
        np.testing.assert_array_equal(vector, vectors[key])


async def test_clearing_a_pattern_spares_all_other_keys(
    cache: EmbeddingCache, redis_client: redis.asyncio.Redis, vectors: Vectors
) -> None:
    await redis_client.set("instruction:theirs", b"1")
    await cache.set_many(vectors)
    await cache.set_embedding("image:abc", np.ones(512))

    assert await cache.clear_pattern("instruction:*") == 1000

    assert await redis_client.get("instruction:theirs") == b"1"
    assert await cache.get_embedding("image:abc") is not None
    assert (await cache.get_stats())["total_keys"] == 1
