"""Fixtures of the cache's tests."""

from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
import redis.asyncio
from numpy.typing import NDArray

from tests.cache.servers import PatientCache, Server, started_server
from vla_embeddings.cache import EmbeddingCache, breaker


@pytest.fixture
def server() -> Iterator[Server]:
    server = started_server()
    yield server
    server.stop()


@pytest.fixture
def no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that failed is not asked again within a test."""
    monkeypatch.setattr(breaker, "COOLDOWN_SECONDS", 3600.0)


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A plain client of an emptied server."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def cache(
    redis_url: str, redis_client: redis.asyncio.Redis
) -> AsyncIterator[EmbeddingCache]:
    """A cache on an emptied server, without the memory of this process."""
    async with PatientCache(redis_url, ttl=60, memory_entries=0) as cache:
        yield cache


@pytest.fixture
def vectors() -> dict[str, NDArray[np.float32]]:
    """1,000 random unit vectors of 384 dimensions, by key."""
    values = np.random.default_rng(0).standard_normal((1000, 384), dtype=np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return {f"embedding:instruction:{number:032x}": row for number, row in enumerate(values)}
