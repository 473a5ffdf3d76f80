"""Whatever happens to Redis: no error, no wrong vector, no long wait."""

import asyncio
import gc
import logging
import random
import signal
import sys
import weakref
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import redis
import redis.asyncio
from numpy.typing import NDArray
from prometheus_client import REGISTRY
from redis.asyncio.connection import AbstractConnection

from tests.cache.servers import PatientCache, Server, fake, forward, free_port
from vla_embeddings.cache import EmbeddingCache, breaker, guard, pool
from vla_embeddings.cache.entry import as_vector, pack
from vla_embeddings.cache.server import Server as RedisServer
from vla_embeddings.errors import CacheUnavailable

Vectors = dict[str, NDArray[np.float32]]


class SlowToGreet:
    """Stands before the Redis at `url`, and lets connections through once it may greet."""

    def __init__(self, url: str) -> None:
        self.connections = 0
        self.may_greet = asyncio.Event()
        self._url = url

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await self.may_greet.wait()
        await forward(self._url, reader, writer)


def wrong(found: Iterable[tuple[str, NDArray[np.float32] | None]], vectors: Vectors) -> list[str]:
    """The keys whose vector is there and is another."""
    return [
        key
        for key, vector in found
        if vector is not None and not np.array_equal(vector, vectors[key])
    ]


async def until_hit(cache: EmbeddingCache, key: str, vector: NDArray[np.float32]) -> None:
    """Return once the cache serves `key` again, with callers that store what they miss."""
    async with asyncio.timeout(60):
        while await cache.get_embedding(key) is None:
            await cache.set_embedding(key, vector)
            await asyncio.sleep(0.01)


def connected(server: Server) -> int:
    """How many clients the server has, the one that asks among them."""
    with server.client() as admin:
        return int(admin.info("clients")["connected_clients"])


async def open_breaker(cache: EmbeddingCache) -> None:
    while (await cache.get_stats())["breaker"] == "closed":
        await cache.get_embedding("instruction:a")


async def test_a_server_killed_in_the_middle_of_10_000_calls(
    server: Server, vectors: Vectors
) -> None:
    keys = list(vectors)
    async with PatientCache(server.url, ttl=60, memory_entries=0) as cache:
        await cache.set_many(vectors)

        async def call(number: int) -> tuple[str, NDArray[np.float32] | None]:
            if number == 4000:
                await asyncio.to_thread(server.kill)
            if number == 7000:
                await asyncio.to_thread(server.start)
            key = keys[number % len(keys)]
            return key, await cache.get_embedding(key)

        found: list[tuple[str, NDArray[np.float32] | None]] = []
        for start in range(0, 10_000, 50):
            found += await asyncio.gather(*map(call, range(start, start + 50)))

        assert wrong(found, vectors) == []
        assert all(vector is not None for _, vector in found[:4000])
        await until_hit(cache, keys[0], vectors[keys[0]])


async def test_a_halted_server_costs_a_deadline_and_then_nothing(
    server: Server, vectors: Vectors, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vla_embeddings.cache")
    key, vector = next(iter(vectors.items()))
    async with EmbeddingCache(server.url, ttl=60, memory_entries=0, deadline=0.5) as cache:
        await cache.set_embedding(key, vector)
        server.send(signal.SIGSTOP)
        try:
            assert await cache.get_embedding(key) is None
            await open_breaker(cache)
            assert await cache.set_embedding(key, vector) is False
            await asyncio.sleep(1.2)  # past one probe, which fails
            assert await cache.get_embedding(key) is None
            stats = await cache.get_stats()
            assert stats["connected"] is False
            assert stats["total_keys"] is None
        finally:
            server.send(signal.SIGCONT)
        await until_hit(cache, key, vector)
        assert (await cache.get_stats())["breaker"] == "closed"

    assert caplog.messages == [
        f"{server.url} fails (TimeoutError); going on without it",
        f"{server.url} answers again",
    ]


@pytest.mark.usefixtures("no_probe")
async def test_a_closed_port_is_a_miss_and_asked_three_times(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = f"redis://localhost:{free_port()}"
    async with EmbeddingCache(url, memory_entries=0) as cache:
        for _ in range(100):
            assert await cache.get_embedding("instruction:a") is None
            assert await cache.set_embedding("instruction:a", [1.0]) is False
        assert (await cache.get_stats())["errors"] == 3

    assert len(caplog.messages) == 1
    state = REGISTRY.get_sample_value("embedding_cache_breaker_state", {"server": url})
    assert state == 2


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 has no eager tasks")
async def test_where_tasks_are_eager_a_server_that_comes_later_is_found(
    server: Server, tmp_path: Path, vectors: Vectors
) -> None:
    """Such a task has failed before it is known, where there is no socket yet."""
    asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory", None))
    key, vector = next(iter(vectors.items()))
    assert server.running is not None
    place = tmp_path / "redis.sock"
    async with PatientCache(f"unix://{place}", memory_entries=0) as cache:
        assert await cache.get_embedding(key) is None

        place.symlink_to(server.running.url.removeprefix("unix://"))

        await until_hit(cache, key, vector)


async def test_this_process_remembers_while_redis_is_down(vectors: Vectors) -> None:
    key, vector = next(iter(vectors.items()))
    async with EmbeddingCache(f"redis://localhost:{free_port()}", ttl=60) as cache:
        assert await cache.set_embedding(key, vector) is False

        np.testing.assert_array_equal(await cache.get_embedding(key), vector)


@pytest.mark.usefixtures("no_probe")
async def test_a_port_that_never_answers_costs_three_deadlines() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with (
        fake(silence) as place,
        EmbeddingCache(f"redis://{place}", memory_entries=0) as cache,
    ):
        for _ in range(100):
            assert await cache.get_embedding("instruction:a") is None
        assert (await cache.get_stats())["errors"] == 3


async def test_who_gets_no_turn_for_long_has_a_miss_that_is_no_fault_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where calls come faster than the server answers, what waits would grow without end."""
    monkeypatch.setattr(guard, "DEADLINES_FOR_A_TURN", 0.001)
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(65536):
            if handshake := request.count(b"SETINFO"):
                writer.write(b"+OK\r\n" * handshake)
            else:
                asked.set()
                await may_answer.wait()
                writer.write(b"*1\r\n$-1\r\n")

    async with (
        fake(answer) as place,
        EmbeddingCache(
            f"redis://{place}", max_connections=1, memory_entries=0, deadline=30.0
        ) as cache,
    ):
        first = asyncio.create_task(cache.get_embedding("instruction:a"))
        await asked.wait()
        others = [asyncio.create_task(cache.get_embedding("instruction:b")) for _ in range(5)]
        assert await asyncio.wait_for(asyncio.gather(*others), 20) == [None] * 5
        with pytest.raises(CacheUnavailable, match="Too many calls wait for Redis"):
            await cache.clear_pattern("*")

        assert not first.done()
        may_answer.set()
        await first
        await cache.get_embedding("instruction:a")

        assert cache._tally.errors == 6
        assert cache._connections.worst_state() == "closed"


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b":5\r\n",
        b"+OK\r\n",
        b"*1\r\n$3\r\nabc\r\n",
        b"*1\r\n:7\r\n",
        b"*2\r\n$-1\r\n$-1\r\n",
        b"$-1\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-MOVED 1 :0\r\n",
        b"*1\r\n*1\r\n*1\r\n$-1\r\n",
        b"*1\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$1\r\nc\r\n:6379\r\n",
        b"*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\nc\r\n:6379\r\n",
        b"\x00" * 64,
        b"",
    ],
    ids=repr,
)
@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_any_answer_is_at_worst_a_miss(scheme: str, reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(65536):
            handshake = request.count(b"SETINFO")
            writer.write(b"+OK\r\n" * handshake or reply)
            if not reply:
                return

    async with (
        fake(answer) as place,
        EmbeddingCache(f"{scheme}://{place}", memory_entries=0) as cache,
    ):
        with pytest.raises(CacheUnavailable):
            await cache.clear_pattern("*")
        for _ in range(5):
            assert await cache.get_embedding("instruction:a") is None
            assert await cache.get_many(["image:a", "image:b"]) == {
                "image:a": None,
                "image:b": None,
            }
            await cache.set_embedding("instruction:a", [1.0])
        assert (await cache.get_stats())["connected"] is False


async def test_an_answer_meant_for_another_caller_is_a_miss() -> None:
    entry = pack(b"embedding:image:other", as_vector([1.0], "float32"), 2**60, "float32")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(65536):
            handshake = request.count(b"SETINFO")
            writer.write(b"+OK\r\n" * handshake or b"*1\r\n$%d\r\n%b\r\n" % (len(entry), entry))

    async with fake(answer) as place, PatientCache(f"redis://{place}") as cache:
        assert await cache.get_embedding("image:mine") is None
        assert await cache.get_embedding("image:other") is not None


async def test_replies_that_are_cut_short_give_no_wrong_vector(
    cache: EmbeddingCache, redis_url: str, vectors: Vectors
) -> None:
    await cache.set_many(vectors)
    rng = random.Random(0)

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await forward(redis_url, reader, writer, reply_bytes=rng.randrange(20_000))

    keys = list(vectors)
    found: list[tuple[str, NDArray[np.float32] | None]] = []
    async with fake(cut) as place:
        for _ in range(100):
            async with PatientCache(f"redis://{place}", memory_entries=0) as cut_off:
                some = rng.sample(keys, 4)
                found += (await cut_off.get_many(some)).items()
                found += zip(
                    some, await asyncio.gather(*map(cut_off.get_embedding, some)), strict=True
                )

    assert wrong(found, vectors) == []
    assert {vector is None for _, vector in found} == {True, False}


async def test_cancelled_callers_disturb_nobody(
    redis_url: str, redis_client: redis.asyncio.Redis, vectors: Vectors
) -> None:
    rng = random.Random(0)
    keys = list(vectors)
    cache = PatientCache(redis_url, memory_entries=0)
    await cache.set_many(vectors)

    async def call() -> list[tuple[str, NDArray[np.float32] | None]]:
        some = rng.sample(keys, rng.choice([1, 20]))
        return list((await cache.get_many(some)).items())

    for _ in range(20):
        calls = [asyncio.create_task(call()) for _ in range(100)]
        for doomed in rng.sample(calls, 50):
            asyncio.get_running_loop().call_later(rng.random() / 100, doomed.cancel)
        await asyncio.wait(calls)
        for done in calls:
            if not done.cancelled():
                found = done.result()
                assert wrong(found, vectors) == []
                assert all(vector is not None for _, vector in found)
    assert len(await redis_client.client_list()) <= 10 + 1
    await cache.close()


async def test_a_caller_cancelled_while_its_connection_is_looked_at_leaves_none(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before redis-py 8, a look at whether a connection can be used lets others run."""
    looked_at: asyncio.Future[weakref.ref[AbstractConnection]] = asyncio.Future()

    async def look(connection: AbstractConnection) -> bool:
        looked_at.set_result(weakref.ref(connection))
        await asyncio.Event().wait()
        return False

    async with PatientCache(redis_url, memory_entries=0) as cache:
        await cache.get_embedding("instruction:a")
        monkeypatch.setattr(pool, "_can_read", look)
        call = asyncio.create_task(cache.get_embedding("instruction:a"))
        connection = await looked_at

        call.cancel()
        await asyncio.wait([call])

        del call
        gc.collect()
        assert connection() is None


async def test_a_full_server_refuses_and_says_so_once(
    server: Server, vectors: Vectors, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vla_embeddings.cache")
    first, second = list(vectors)[:2]
    async with PatientCache(server.url, ttl=60, memory_entries=0) as cache:
        await cache.set_embedding(first, vectors[first])
        with server.client() as admin:
            admin.config_set("maxmemory-policy", "noeviction")
            admin.config_set("maxmemory", 1)
            for _ in range(3):
                assert await cache.set_embedding(second, vectors[second]) is False
                np.testing.assert_array_equal(await cache.get_embedding(first), vectors[first])
            admin.config_set("maxmemory", 0)
        assert await cache.set_embedding(second, vectors[second]) is True
        assert (await cache.get_stats())["errors"] == 3

    assert caplog.messages == [
        f"{server.url} does not store embeddings (OutOfMemoryError)",
        f"{server.url} stores embeddings again",
    ]


async def test_a_read_only_server_is_still_read(server: Server, vectors: Vectors) -> None:
    first, second = list(vectors)[:2]
    async with PatientCache(server.url, ttl=60, memory_entries=0) as cache:
        await cache.set_embedding(first, vectors[first])
        with server.client() as admin:
            admin.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
            assert await cache.set_embedding(second, vectors[second]) is False
            np.testing.assert_array_equal(await cache.get_embedding(first), vectors[first])
            admin.execute_command("REPLICAOF", "NO", "ONE")
        assert await cache.set_embedding(second, vectors[second]) is True


async def test_a_password_change_is_survived(server: Server, vectors: Vectors) -> None:
    key, vector = next(iter(vectors.items()))
    async with PatientCache(
        f"redis://:old@127.0.0.1:{server.port}", ttl=60, memory_entries=0
    ) as cache:
        with server.client() as admin:
            admin.config_set("requirepass", "old")
            assert await cache.set_embedding(key, vector)
            admin.config_set("requirepass", "new")
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            for _ in range(5):
                assert await cache.get_embedding(key) is None
            assert (await cache.get_stats())["breaker"] != "closed"
            admin.config_set("requirepass", "old")
        await until_hit(cache, key, vector)


async def test_a_foreign_type_under_our_key_is_a_miss_and_is_overwritten(
    cache: EmbeddingCache, redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.lpush("embedding:instruction:a", b"theirs")

    assert await cache.get_embedding("instruction:a") is None
    assert await cache.set_embedding("instruction:a", [1.0]) is True
    assert await cache.get_embedding("instruction:a") is not None


async def test_a_damaged_entry_is_a_miss_is_counted_and_is_overwritten(
    cache: EmbeddingCache, redis_client: redis.asyncio.Redis
) -> None:
    await cache.set_embedding("instruction:a", [1.0, 2.0])
    await redis_client.setrange("embedding:instruction:a", 17, b"\xff")

    assert await cache.get_embedding("instruction:a") is None
    assert (await cache.get_stats())["errors"] == 1
    assert await cache.set_embedding("instruction:a", [1.0, 2.0]) is True
    assert await cache.get_embedding("instruction:a") is not None


async def test_an_entry_of_another_model_is_a_miss(
    cache: EmbeddingCache, redis_client: redis.asyncio.Redis
) -> None:
    await cache.set_embedding("instruction:of-model-a", [1.0])
    await redis_client.rename(
        "embedding:instruction:of-model-a", "embedding:instruction:of-model-b"
    )

    assert await cache.get_embedding("instruction:of-model-b") is None


async def test_a_handshake_longer_than_the_deadline_is_awaited_once_for_each_connection(
    redis_url: str, vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 3600.0)
    server = SlowToGreet(redis_url)
    key, vector = next(iter(vectors.items()))
    async with (
        fake(server.greet) as place,
        EmbeddingCache(
            f"redis://{place}", ttl=60, max_connections=4, memory_entries=0, deadline=1.0
        ) as cache,
    ):
        assert await asyncio.gather(*(cache.get_embedding(key) for _ in range(4))) == [None] * 4
        server.may_greet.set()
        await until_hit(cache, key, vector)
        found = await asyncio.gather(*(cache.get_embedding(key) for _ in range(100)))

        assert all(vector is not None for vector in found)
        assert cache._connections.worst_state() == "closed"
    assert server.connections == 4


@pytest.mark.usefixtures("no_probe")
async def test_a_breaker_that_opened_while_it_connects_closes_when_it_has(
    redis_url: str, vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 3600.0)
    server = SlowToGreet(redis_url)
    key, vector = next(iter(vectors.items()))
    async with (
        fake(server.greet) as place,
        EmbeddingCache(f"redis://{place}", ttl=60, memory_entries=0, deadline=0.5) as cache,
    ):
        for _ in range(3):
            assert await cache.get_embedding(key) is None
        assert cache._connections.worst_state() == "open"
        server.may_greet.set()

        await until_hit(cache, key, vector)


async def test_who_waits_for_a_connection_gets_the_first_that_is_free(
    redis_url: str, vectors: Vectors
) -> None:
    server = SlowToGreet(redis_url)
    server.may_greet.set()
    key, vector = next(iter(vectors.items()))
    async with (
        fake(server.greet) as place,
        PatientCache(f"redis://{place}", ttl=60, memory_entries=0) as cache,
    ):
        assert await cache.set_embedding(key, vector)
        server.may_greet.clear()

        found = await asyncio.gather(*(cache.get_embedding(key) for _ in range(20)))

        assert all(vector is not None for vector in found)


async def test_closing_while_it_connects_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 3600.0)
    hung_up = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        hung_up.set()

    async with fake(silence) as place:
        cache = EmbeddingCache(f"redis://{place}", memory_entries=0, deadline=0.2)
        assert await cache.get_embedding("instruction:a") is None
        assert not hung_up.is_set()

        await cache.close()

        await asyncio.wait_for(hung_up.wait(), 20)
        await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_callers_that_still_wait_when_it_closes_leave_no_connection(
    server: Server,
) -> None:
    cache = PatientCache(server.url, max_connections=1, memory_entries=0)
    store = cache._connections.current()  # or the collector would close what it leaves
    server.send(signal.SIGSTOP)
    try:
        calls = [asyncio.create_task(cache.get_embedding("instruction:a")) for _ in range(5)]
        await asyncio.sleep(0.01)
        await cache.close()
    finally:
        server.send(signal.SIGCONT)
    assert await asyncio.gather(*calls) == [None] * 5

    async with asyncio.timeout(20):
        while await asyncio.to_thread(connected, server) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert isinstance(store, RedisServer)
    assert store.breaker.state == "closed"


async def test_closing_during_a_probe_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    monkeypatch.setattr(guard, "CONNECT_SECONDS", 3600.0)
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 3600.0)
    monkeypatch.setattr(breaker, "COOLDOWN_SECONDS", 0.0)
    async with fake(silence) as place:
        cache = EmbeddingCache(f"redis://{place}", memory_entries=0)
        await open_breaker(cache)
        await cache.get_embedding("instruction:a")
        assert (await cache.get_stats())["breaker"] == "half-open"

        monkeypatch.setattr(breaker, "COOLDOWN_SECONDS", 3600.0)
        await cache.close()

        assert (await cache.get_stats())["breaker"] == "open"
        await cache.close()
        await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}
