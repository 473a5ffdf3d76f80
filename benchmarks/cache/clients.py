"""Look-ups and stores, beside redis-py's plain client and the bytes' own round trip."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import redis.asyncio
from numpy.typing import NDArray

from benchmarks.cache.size import CacheSize
from benchmarks.limits.loopback import Loopback, loopback
from benchmarks.results import Findings, Verdict
from benchmarks.spread import median_interval
from benchmarks.turns import (
    OURS,
    Timer,
    Work,
    latencies,
    ratio,
    round_trips,
    take_turns,
    timed,
    warmed,
)
from vla_embeddings.cache import EmbeddingCache

Vectors = Mapping[str, NDArray[np.float32]]

TTL = 600
# What RESP adds to a key or a value; a tenth of a percent of the whole.
FRAME = 16

SLOWER = 1.6
ADDED_MS = 0.12


async def against_redis_py(url: str, vectors: Vectors, size: CacheSize) -> Findings:
    """Batches of all vectors and single hits, without this process's memory in front."""
    plain = {f"plain:{key}": vector for key, vector in vectors.items()}
    with loopback(unix=False) as echo:
        async with (
            redis.asyncio.Redis.from_url(url) as client,
            EmbeddingCache(url, ttl=TTL, memory_entries=0) as cache,
        ):
            stores = await _stores(client, cache, plain, vectors, echo, size)
            look_ups = await _look_ups(client, cache, list(plain), list(vectors), echo, size)
            hits = await _hits(client, cache, next(iter(plain)), next(iter(vectors)), echo, size)
    return Findings.joined([stores, look_ups, hits])


async def _stores(
    client: redis.asyncio.Redis,
    cache: EmbeddingCache,
    plain: Vectors,
    vectors: Vectors,
    echo: Loopback,
    size: CacheSize,
) -> Findings:
    async def pipeline() -> None:
        commands = client.pipeline(transaction=False)
        for key, vector in plain.items():
            commands.set(key, vector.tobytes(), px=1000 * TTL)
        await commands.execute()

    works: dict[str, Work] = {
        OURS: lambda: cache.set_many(vectors),
        "redis-py pipeline of SET": pipeline,
    }
    limit = {echo.name: round_trips(echo, sent=bytes_of(vectors), received=5 * len(vectors))}
    return await _contest(f"set_many of {len(vectors):,}", works, limit, size.turns)


async def _look_ups(
    client: redis.asyncio.Redis,
    cache: EmbeddingCache,
    plain: Sequence[str],
    keys: Sequence[str],
    echo: Loopback,
    size: CacheSize,
) -> Findings:
    async def mget() -> None:
        values = cast(list[bytes], await client.mget(plain))  # none is missing or decoded
        [np.frombuffer(value, np.float32) for value in values]

    sample = await cache.get_many(keys)
    assert all(vector is not None for vector in sample.values())
    stored = {key: vector for key, vector in sample.items() if vector is not None}
    works: dict[str, Work] = {
        OURS: lambda: cache.get_many(keys),
        "redis-py MGET + np.frombuffer": mget,
    }
    sent = sum(len(key) + FRAME for key in keys)
    limit = {echo.name: round_trips(echo, sent=sent, received=bytes_of(stored))}
    return await _contest(f"get_many of {len(keys):,}", works, limit, size.turns)


async def _contest(
    work: str, works: Mapping[str, Work], limits: Mapping[str, Timer], turns: int
) -> Findings:
    timers = {name: warmed(timed(each)) for name, each in works.items()}
    times = await take_turns({**timers, **limits}, turns)
    _, theirs, limit = times
    slower = ratio(times[OURS], times[theirs])
    verdict = Verdict(work, OURS, theirs, slower, "x", SLOWER, at_most=True)
    return Findings(latencies(work, times, limit), [verdict], [])


async def _hits(
    client: redis.asyncio.Redis,
    cache: EmbeddingCache,
    plain: str,
    key: str,
    echo: Loopback,
    size: CacheSize,
) -> Findings:
    work, get = "one hit in Redis", "redis-py GET"
    [vector] = (await cache.get_many([key])).values()
    assert vector is not None
    calls, limit = size.single_calls, echo.name
    sent, received = len(key) + FRAME, vector.nbytes + FRAME
    timers = {
        OURS: timed(lambda: cache.get_embedding(key), calls),
        get: timed(lambda: client.get(plain), calls),
        limit: round_trips(echo, sent=sent, received=received, repeats=calls),
    }
    times = await take_turns(timers, size.turns)
    pairs = zip(times[OURS], times[get], strict=True)
    added = median_interval([1e3 * (ours - theirs) for ours, theirs in pairs])
    verdict = Verdict(f"{work}, added to it", OURS, get, added, "ms", ADDED_MS, at_most=True)
    return Findings(latencies(work, times, limit), [verdict], [])


def bytes_of(vectors: Vectors) -> int:
    """That Redis sends or is sent for them, with their keys."""
    return sum(len(key) + vector.nbytes + 2 * FRAME for key, vector in vectors.items())
