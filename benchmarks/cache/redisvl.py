"""Look-ups beside RedisVL's EmbeddingsCache, which runs in a process of its own."""

import numpy as np

from benchmarks.bench import Bench
from benchmarks.cache.clients import FRAME, TTL, Vectors, bytes_of
from benchmarks.cache.size import CacheSize
from benchmarks.limits.loopback import Loopback, loopback
from benchmarks.peers.environment import PeerEnvironment, PeerFailed
from benchmarks.peers.store import Store, start_store
from benchmarks.peers.stores import StoreInputs
from benchmarks.results import Absence, Findings, Verdict
from benchmarks.turns import OURS, latencies, ratio, round_trips, take_turns, timed, warmed
from vla_embeddings.cache import EmbeddingCache

FASTER = 15


async def against_redisvl(url: str, vectors: Vectors, bench: Bench, size: CacheSize) -> Findings:
    """All vectors by one call of each; RedisVL times itself."""
    if bench.stores is None:
        return Findings([], [], [])
    try:
        return await _contest(url, vectors, bench.stores, size)
    except PeerFailed as reason:
        return Findings([], [], [Absence("redisvl", str(reason))])


async def _contest(
    url: str, vectors: Vectors, environment: PeerEnvironment, size: CacheSize
) -> Findings:
    rows = np.stack(list(vectors.values()))
    inputs = StoreInputs([f"instruction {number}" for number in range(len(rows))], rows, rows[:1])
    with (
        start_store(environment, "redisvl", url, inputs) as store,
        loopback(unix=False) as echo,
    ):
        times = await _in_turns(store, echo, url, vectors, size)
        work = f"get_many of {len(vectors):,}, beside RedisVL"
        faster = ratio(times[store.name], times[OURS])
        verdict = Verdict(work, OURS, store.name, faster, "x", FASTER, at_most=False)
    found, runs_on = latencies(work, times, echo.name), {store.name: store.on}
    return Findings(found, [verdict], [], runs_on=runs_on)


async def _in_turns(
    store: Store, echo: Loopback, url: str, vectors: Vectors, size: CacheSize
) -> dict[str, list[float]]:
    async with EmbeddingCache(url, ttl=TTL, memory_entries=0) as cache:
        await cache.set_many(vectors)
        store.seconds("store")

        async def theirs(_: int) -> float:
            return store.seconds("find")

        sent = sum(len(key) + FRAME for key in vectors)
        limit = round_trips(echo, sent=sent, received=bytes_of(vectors))
        timers = {
            OURS: warmed(timed(lambda: cache.get_many(list(vectors)))),
            store.name: warmed(theirs),
            echo.name: limit,
        }
        return await take_turns(timers, size.turns)
