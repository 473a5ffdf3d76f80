"""The cache's works, on one server."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import redis.asyncio

from benchmarks.bench import Bench
from benchmarks.cache.clients import against_redis_py
from benchmarks.cache.faults import down, free_port
from benchmarks.cache.flights import memory_hit, shared_computations
from benchmarks.cache.redisvl import against_redisvl
from benchmarks.cache.size import SIZES
from benchmarks.results import Findings
from vla_embeddings.cache import instruction_key
from vla_embeddings.local import LocalValkey

DIMENSION = 384


def run(bench: Bench) -> Findings:
    """The cache beside redis-py and RedisVL, and what calls wait where Redis is down."""
    with contextlib.ExitStack() as stack:
        url = bench.redis_url
        if url is None:
            port = free_port()  # TCP, as a Redis of another machine would be reached
            stack.enter_context(LocalValkey(port=port))
            url = f"redis://127.0.0.1:{port}"
        return asyncio.run(_measure(url, bench))


async def _measure(url: str, bench: Bench) -> Findings:
    size = SIZES[bench.size.name]
    random = np.random.default_rng(0).standard_normal((size.entries, DIMENSION), np.float32)
    vectors = {instruction_key("model", str(number)): row for number, row in enumerate(random)}
    works: tuple[Callable[[], Awaitable[Findings]], ...] = (
        lambda: against_redis_py(url, vectors, size),
        lambda: against_redisvl(url, vectors, bench, size),
        lambda: memory_hit(url, bench, size),
        lambda: down(url, size),
        lambda: shared_computations(url, vectors),
    )
    advance, parts = bench.track("cache", len(works)), []
    for work in works:
        parts.append(await work())
        advance(1)
    joined = Findings.joined(parts)
    return replace(joined, inputs=f"random vectors; {await _server(url)}")


async def _server(url: str) -> str:
    """Its name and version."""
    async with redis.asyncio.Redis.from_url(url) as client:
        told = await client.info("server")
    return (
        f"{told.get('server_name', 'redis')} {told.get('valkey_version', told['redis_version'])}"
    )
