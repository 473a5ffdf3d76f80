"""The calls of the documentation, against a real server."""

import asyncio
import gc
import logging
import time
from types import SimpleNamespace

import numpy as np
import pytest
import redis.asyncio
from numpy.typing import NDArray
from prometheus_client import REGISTRY

from tests.cache.servers import PatientCache
from tests.test_turns import OtherTask
from vla_embeddings.cache import EmbeddingCache, instruction_key, recent
from vla_embeddings.cache.embedding_cache import CHUNK
from vla_embeddings.config import embedding_config
from vla_embeddings.errors import CacheUnavailable, ConfigurationError, InvalidInput

Vectors = dict[str, NDArray[np.float32]]


async def test_a_vector_comes_back_as_it_was_stored(
    cache: EmbeddingCache, vectors: Vectors
) -> None:
    key, vector = next(iter(vectors.items()))

    assert await cache.get_embedding(key) is None
    assert await cache.set_embedding(key, vector) is True

    np.testing.assert_array_equal(await cache.get_embedding(key), vector, strict=True)


async def test_a_batch_keeps_its_order_and_names_what_is_missing(
    cache: EmbeddingCache, vectors: Vectors
) -> None:
    stored = await cache.set_many(vectors)
    keys = [*reversed(vectors), "instruction:unknown"]

    found = await cache.get_many(keys)

    assert stored == dict.fromkeys(vectors, True)
    assert list(found) == keys
    assert found.pop("instruction:unknown") is None
    for key, vector in vectors.items():
        np.testing.assert_array_equal(found[key], vector, strict=True)


async def test_a_batch_is_one_round_trip(
    cache: EmbeddingCache, redis_client: redis.asyncio.Redis, vectors: Vectors
) -> None:
    await redis_client.config_resetstat()

    await cache.set_many(vectors)
    await cache.get_many(list(vectors))

    stats = await redis_client.info("stats")
    commands = await redis_client.info("commandstats")
    assert commands["cmdstat_mget"]["calls"] == 1
    # The server counts one read event per 16 KiB of the pipeline of SETs, far below one per SET.
    assert stats["total_reads_processed"] < 200


async def test_empty_batches_ask_nothing() -> None:
    cache = EmbeddingCache("redis://localhost:1")

    assert await cache.get_many([]) == {}
    assert await cache.set_many({}) == {}


async def test_the_prefix_is_added_where_it_is_absent(
    cache: EmbeddingCache, redis_client: redis.asyncio.Redis
) -> None:
    await cache.set_embedding("instruction:a", [1.0])

    assert await redis_client.keys() == [b"embedding:instruction:a"]
    assert await cache.get_embedding("embedding:instruction:a") is not None


async def test_what_is_stored_holds_neither_text_nor_pickle(
    cache: EmbeddingCache, redis_client: redis.asyncio.Redis
) -> None:
    await cache.set_embedding(instruction_key("model", "secret plan"), np.zeros(384))

    (key,) = await redis_client.keys()
    value = await redis_client.get(key)
    assert isinstance(value, bytes)
    assert len(value) == 16 + 4 * 384 + 4
    assert "secret" not in f"{key!r} {value!r}"


async def test_a_vector_from_the_cache_cannot_be_changed_by_accident(
    cache: EmbeddingCache, redis_url: str
) -> None:
    await cache.set_embedding("instruction:a", [1.0])
    async with PatientCache(redis_url) as with_memory:
        for _ in range(2):
            found = await with_memory.get_embedding("instruction:a")
            assert found is not None
            with pytest.raises(ValueError, match="read-only"):
                found[0] = 2


@pytest.mark.parametrize("storage", ["float32", "float16"])
async def test_this_process_remembers_what_redis_would_answer(
    redis_url: str, vectors: Vectors, storage: str
) -> None:
    key, vector = next(iter(vectors.items()))
    async with (
        PatientCache(redis_url, storage=storage) as first,  # type: ignore[arg-type]  # parametrised
        PatientCache(redis_url) as second,
    ):
        await first.set_embedding(key, vector)

        np.testing.assert_array_equal(
            await first.get_embedding(key), await second.get_embedding(key), strict=True
        )


async def test_a_hit_in_this_process_asks_nothing(
    redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    async with PatientCache(redis_url) as cache:
        await cache.set_embedding("instruction:a", [1.0])
        await redis_client.flushall()

        assert await cache.get_embedding("instruction:a") is not None


async def test_entries_expire_in_redis_and_in_this_process(
    redis_url: str, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PatientCache(redis_url, ttl=600) as cache, PatientCache(redis_url) as reader:
        await cache.set_embedding("instruction:long", [1.0])
        await cache.set_embedding("instruction:short", [1.0], ttl=60)
        assert 550_000 < await redis_client.pttl("embedding:instruction:long") <= 600_000
        assert 10_000 < await redis_client.pttl("embedding:instruction:short") <= 60_000
        assert (
            None not in (await reader.get_many(["instruction:long", "instruction:short"])).values()
        )

        await redis_client.flushall()
        later = SimpleNamespace(monotonic=lambda: time.monotonic() + 61)
        monkeypatch.setattr(recent, "time", later)

        for one in (cache, reader):
            assert await one.get_embedding("instruction:short") is None
            assert await one.get_embedding("instruction:long") is not None


async def test_a_ttl_of_zero_stores_nothing(
    redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    async with PatientCache(redis_url, ttl=0) as cache:
        assert await cache.set_embedding("instruction:a", [1.0]) is False
        assert await cache.get_embedding("instruction:a") is None
        assert await cache.set_embedding("instruction:b", [1.0], ttl=60) is True
        assert await cache.set_many({"instruction:c": [1.0]}, ttl=0) == {"instruction:c": False}
    assert await redis_client.keys() == [b"embedding:instruction:b"]


async def test_a_ttl_of_none_is_the_caches_own(
    redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    async with PatientCache(redis_url) as cache:
        await cache.set_embedding("instruction:a", [1.0], ttl=None)
    left = await redis_client.ttl("embedding:instruction:a")
    assert embedding_config.cache_ttl - 60 <= left <= embedding_config.cache_ttl


async def test_an_unusable_argument_is_refused_and_nothing_is_stored(
    cache: EmbeddingCache, redis_client: redis.asyncio.Redis
) -> None:
    with pytest.raises(InvalidInput, match="NaN"):
        await cache.set_many({"instruction:good": [1.0], "instruction:bad": [np.nan]})
    for ttl in (-1, 10**20):
        with pytest.raises(InvalidInput, match="ttl"):
            await cache.set_embedding("instruction:a", [1.0], ttl)
    with pytest.raises(InvalidInput, match="ud800"):
        await cache.get_embedding("instruction:\ud800")
    with pytest.raises(InvalidInput, match="b'instruction:a'"):
        await cache.get_embedding(b"instruction:a")  # type: ignore[arg-type]  # as redis-py takes
    assert await redis_client.dbsize() == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"ttl": -1},
        {"ttl": 10**9},
        {"max_connections": 0},
        {"deadline": 0.0},
        {"memory_entries": -1},
        {"storage": "int8"},
    ],
    ids=str,
)
def test_an_unusable_setting_is_refused_by_name(settings: dict[str, object]) -> None:
    (name,) = settings

    with pytest.raises(ConfigurationError, match=name):
        EmbeddingCache("redis://localhost", **settings)  # type: ignore[arg-type]  # the mistake under test


async def test_clearing_a_pattern_spares_all_other_keys(
    cache: EmbeddingCache, redis_client: redis.asyncio.Redis, vectors: Vectors
) -> None:
    await redis_client.set("instruction:theirs", b"1")
    await cache.set_many(vectors)
    await cache.set_embedding("image:abc", np.ones(512))

    assert await cache.clear_pattern("instruction:*") == 1000

    assert await redis_client.get("instruction:theirs") == b"1"
    assert await cache.get_embedding("image:abc") is not None


@pytest.mark.parametrize("pattern", ["*", "[^x]*", "?*", "embedding:*", "../*", "*:*"])
async def test_no_pattern_reaches_keys_of_others(
    cache: EmbeddingCache, redis_client: redis.asyncio.Redis, pattern: str
) -> None:
    theirs = ["a", "instruction:a", "embeddings:a", "embedding", "x:embedding:a"]
    await redis_client.mset(dict.fromkeys(theirs, b"1"))
    await cache.set_embedding("image:abc", [1.0])

    await cache.clear_pattern(pattern)

    assert await redis_client.exists(*theirs) == len(theirs)


async def test_clearing_reaches_the_memory_of_this_process(redis_url: str) -> None:
    async with PatientCache(redis_url) as cache:
        await cache.set_embedding("instruction:a", [1.0])

        assert await cache.clear_pattern("instruction:*") == 1

        assert await cache.get_embedding("instruction:a") is None


async def test_clearing_says_so_when_redis_is_down() -> None:
    async with PatientCache("redis://127.0.0.1:1") as cache:
        with pytest.raises(CacheUnavailable, match="ConnectionError"):
            await cache.clear_pattern("*")


async def test_stats_count_our_keys_and_what_came_of_look_ups(
    cache: EmbeddingCache, redis_client: redis.asyncio.Redis, vectors: Vectors
) -> None:
    await redis_client.set("theirs", b"1")
    await redis_client.set("embedding:instruction:damaged", b"1")
    await cache.set_many(vectors)
    await cache.get_many([*list(vectors)[:3], "instruction:damaged"])

    stats = await cache.get_stats()

    memory = stats["memory_used_bytes"]
    assert memory is not None
    assert memory > 1000 * 1536
    assert stats == {
        "connected": True,
        "total_keys": 1001,
        "memory_used": f"{memory / 1024**2:.1f} MiB",
        "memory_used_bytes": memory,
        "hits": 3,
        "misses": 1,
        "hit_rate": 0.75,
        "errors": 1,
        "breaker": "closed",
    }


async def test_hits_and_misses_are_counted_by_kind(cache: EmbeddingCache) -> None:
    def count(name: str, kind: str) -> float:
        return REGISTRY.get_sample_value(f"embedding_cache_{name}_total", {"kind": kind}) or 0

    samples = [
        ("hits", "image"),
        ("misses", "image"),
        ("misses", "instruction"),
        ("hits", "other"),
    ]
    before = [count(*sample) for sample in samples]
    await cache.set_many({"image:a": [1.0], "mine": [1.0]})

    await cache.get_many(["image:a", "image:b", "image:c", "instruction:d", "mine"])

    after = [count(*sample) for sample in samples]
    assert [late - early for early, late in zip(before, after, strict=True)] == [1, 2, 1, 1]


async def test_a_hit_is_logged_for_debugging(
    cache: EmbeddingCache, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "vla_embeddings.cache")
    await cache.set_embedding("instruction:abc123", [1.0])

    await cache.get_embedding("instruction:abc123")

    assert caplog.messages == ["Cache hit for instruction embedding: embedding:instruction:abc123"]


def test_one_cache_serves_one_event_loop_after_another(redis_url: str) -> None:
    cache = PatientCache(redis_url, memory_entries=0)

    async def use() -> bool:
        async with cache:
            await cache.set_embedding("instruction:a", [1.0])
            return await cache.get_embedding("instruction:a") is not None

    assert [asyncio.run(use()) for _ in range(3)] == [True] * 3


# Python and redis-py complain about the sockets left open, which is what the test is about.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_loop_that_ended_without_close_harms_nobody(redis_url: str) -> None:
    cache = PatientCache(redis_url, memory_entries=0)

    async def use() -> bool:
        await cache.set_embedding("instruction:a", [1.0])
        return await cache.get_embedding("instruction:a") is not None

    assert [asyncio.run(use()) for _ in range(3)] == [True] * 3
    asyncio.run(cache.close())
    gc.collect()


async def test_one_cache_serves_event_loops_in_several_threads(
    redis_url: str, vectors: Vectors
) -> None:
    cache = PatientCache(redis_url, memory_entries=100)

    async def use() -> None:
        async with cache:
            for key, vector in list(vectors.items())[:200]:
                await cache.set_embedding(key, vector)
                np.testing.assert_array_equal(await cache.get_embedding(key), vector)

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, use()) for _ in range(4)))


async def test_a_closed_cache_opens_new_connections(cache: EmbeddingCache) -> None:
    await cache.close()
    await cache.close()

    assert await cache.set_embedding("instruction:a", [1.0]) is True


async def test_a_thousand_calls_at_once_wait_their_turn(
    redis_url: str, redis_client: redis.asyncio.Redis, vectors: Vectors
) -> None:
    async with PatientCache(redis_url, max_connections=4, memory_entries=0) as cache:
        await cache.set_many(vectors)

        found = await asyncio.gather(*map(cache.get_embedding, vectors))

        for vector, expected in zip(found, vectors.values(), strict=True):
            np.testing.assert_array_equal(vector, expected)
        assert len(await redis_client.client_list()) <= 4 + 1


async def test_the_event_loop_runs_on_while_very_many_are_stored(cache: EmbeddingCache) -> None:
    embeddings = {f"image:{number}": np.ones(4) for number in range(3 * CHUNK)}

    async with OtherTask() as other:
        await cache.set_many(embeddings, ttl=0)

    assert other.turns == 2
