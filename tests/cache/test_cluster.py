"""A Redis Cluster of three servers does what one server does."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cache.servers import PatientCache, Server, free_port, started_server
from vla_embeddings.cache import EmbeddingCache
from vla_embeddings.cache import cluster as cluster_module
from vla_embeddings.cache.server import Server as RedisServer
from vla_embeddings.cache.server import SlotRange
from vla_embeddings.errors import CacheUnavailable

Vectors = dict[str, NDArray[np.float32]]

SETTINGS = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": "5000",
    "cluster-require-full-coverage": "no",
}
RANGES = [(0, 5460), (5461, 10922), (10923, 16383)]


@contextmanager
def cluster() -> Iterator[list[Server]]:
    nodes: list[Server] = []
    try:
        for _ in RANGES:
            nodes.append(started_server(SETTINGS))
        form(nodes)
        yield nodes
    finally:
        for node in nodes:
            node.stop()


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Server]]:
    with cluster() as nodes:
        yield nodes


def form(nodes: list[Server]) -> None:
    """Make the servers one cluster and wait until all of them know it."""
    for epoch, (node, (first, last)) in enumerate(zip(nodes, RANGES, strict=True), 1):
        node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
        node.command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        node.command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
    deadline = time.monotonic() + 20
    while not all(is_ready(node) for node in nodes):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_ready(node: Server) -> bool:
    known = len(node.command("CLUSTER", "SLOTS"))
    return known == 3 and b"cluster_state:ok" in node.command("CLUSTER", "INFO")


@pytest.fixture
def url(nodes: list[Server]) -> str:
    for node in nodes:
        node.command("FLUSHALL")
    return f"redis+cluster://127.0.0.1:{nodes[0].port}"


async def test_a_batch_is_spread_over_all_servers_and_keeps_its_order(
    nodes: list[Server], url: str, vectors: Vectors
) -> None:
    async with PatientCache(url, ttl=60, memory_entries=0) as cache:
        assert await cache.set_many(vectors) == dict.fromkeys(vectors, True)
        keys = [*reversed(vectors), "image:unknown"]

        found = await cache.get_many(keys)

        assert list(found) == keys
        assert found.pop("image:unknown") is None
        for key, vector in vectors.items():
            np.testing.assert_array_equal(found[key], vector, strict=True)
    for node in nodes:
        assert 200 < node.command("DBSIZE") < 500


async def test_clearing_and_stats_reach_all_servers(url: str, vectors: Vectors) -> None:
    async with PatientCache(url, ttl=60) as cache:
        await cache.set_many(vectors)
        await cache.set_embedding("image:a", [1.0])
        assert (await cache.get_stats())["total_keys"] == 1001

        assert await cache.clear_pattern("instruction:*") == 1000

        stats = await cache.get_stats()
        assert stats["connected"]
        assert stats["total_keys"] == 1


async def test_clearing_that_a_server_refuses_is_an_error(
    nodes: list[Server], url: str, vectors: Vectors
) -> None:
    for node in nodes:
        node.command("ACL", "SETUSER", "robot", "on", ">pass", "~*", "+@all", "-unlink")
    async with PatientCache(url.replace("://", "://robot:pass@"), ttl=60) as cache:
        await cache.set_many(vectors)

        with pytest.raises(CacheUnavailable, match="NoPermissionError"):
            await cache.clear_pattern("*")


async def test_clearing_while_slots_move_is_an_error_that_lets_it_look_for_them(
    nodes: list[Server], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "REFRESH_SECONDS", 0.0)
    ask, questions = RedisServer.slot_owners, 0

    async def count_and_ask(server: RedisServer) -> list[SlotRange]:
        nonlocal questions
        questions += 1
        return await ask(server)

    monkeypatch.setattr(RedisServer, "slot_owners", count_and_ask)
    key = "embedding:image:a"
    slot = nodes[0].command("CLUSTER", "KEYSLOT", key)
    giver = next(i for i, (low, high) in enumerate(RANGES) if low <= slot <= high)
    importer = nodes[(giver + 1) % 3]
    name = nodes[giver].command("CLUSTER", "MYID").decode()
    importer.command("CLUSTER", "SETSLOT", slot, "IMPORTING", name)
    with importer.client() as admin, admin.client() as connection:
        connection.execute_command("ASKING")
        connection.execute_command("SET", key, b"1")
    try:
        async with PatientCache(url, ttl=60, memory_entries=0) as cache:
            with pytest.raises(CacheUnavailable, match="MovedError"):
                await cache.clear_pattern("*")
            await cache.get_embedding("image:a")
            assert questions == 2
    finally:
        importer.command("CLUSTER", "SETSLOT", slot, "STABLE")


async def test_a_thousand_first_calls_at_once_all_find_their_server(
    url: str, vectors: Vectors
) -> None:
    async with PatientCache(url, ttl=60) as writer, PatientCache(url, memory_entries=0) as cache:
        await writer.set_many(vectors)

        found = await asyncio.gather(*map(cache.get_embedding, vectors))

        assert all(vector is not None for vector in found)


async def test_a_cancelled_caller_leaves_the_search_for_servers_to_the_next(
    url: str, vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or callers with short deadlines would never find a server."""
    asked, may_answer = asyncio.Event(), asyncio.Event()
    ask, questions = RedisServer.slot_owners, 0

    async def wait_and_ask(server: RedisServer) -> list[SlotRange]:
        nonlocal questions
        questions += 1
        asked.set()
        await may_answer.wait()
        return await ask(server)

    monkeypatch.setattr(RedisServer, "slot_owners", wait_and_ask)
    key, vector = next(iter(vectors.items()))
    async with PatientCache(url, ttl=60, memory_entries=0) as cache:
        hasty = asyncio.create_task(cache.get_embedding(key))
        await asked.wait()
        hasty.cancel()
        await asyncio.wait([hasty])
        may_answer.set()

        assert await cache.set_embedding(key, vector)
        assert questions == 1


async def test_slots_that_move_are_followed(
    nodes: list[Server], url: str, vectors: Vectors
) -> None:
    key, vector = next(iter(vectors.items()))
    async with PatientCache(url, ttl=60, memory_entries=0) as cache:
        await cache.set_embedding(key, vector)
        slot = nodes[0].command("CLUSTER", "KEYSLOT", key)
        giver = next(i for i, (low, high) in enumerate(RANGES) if low <= slot <= high)
        await asyncio.to_thread(give_slot, nodes, slot, (giver + 1) % 3)

        await until_hit(cache, key, vector)

        await asyncio.to_thread(give_slot, nodes, slot, giver)
        await until_hit(cache, key, vector)


def give_slot(nodes: list[Server], slot: int, taker: int) -> None:
    """As a resharding does, except that all keys are lost."""
    name = nodes[taker].command("CLUSTER", "MYID").decode()
    nodes[taker].command("CLUSTER", "BUMPEPOCH")  # or the others' gossip takes the slot back
    for node in sorted(nodes, key=lambda node: node is not nodes[taker]):
        node.command("FLUSHALL")
        node.command("CLUSTER", "SETSLOT", slot, "NODE", name)


async def until_hit(cache: EmbeddingCache, key: str, vector: NDArray[np.float32]) -> None:
    async with asyncio.timeout(60):
        while await cache.get_embedding(key) is None:
            await cache.set_embedding(key, vector)
            await asyncio.sleep(0.01)


async def test_a_halted_server_costs_its_own_keys_alone(
    nodes: list[Server], url: str, vectors: Vectors
) -> None:
    async with (
        PatientCache(url, ttl=60) as writer,
        EmbeddingCache(url, ttl=60, memory_entries=0, deadline=1.0) as cache,
    ):
        assert await writer.set_many(vectors) == dict.fromkeys(vectors, True)
        nodes[1].send(signal.SIGSTOP)
        try:
            found = await cache.get_many(list(vectors))
            for _ in range(5):
                await cache.get_many(list(vectors))
            stats = await cache.get_stats()
        finally:
            nodes[1].send(signal.SIGCONT)

    for key, vector in found.items():
        assert vector is None or np.array_equal(vector, vectors[key])
    assert 500 < sum(vector is not None for vector in found.values()) < 800
    assert stats["connected"] is False
    assert stats["breaker"] in ("open", "half-open")


async def test_a_server_that_died_costs_its_own_keys_alone(vectors: Vectors) -> None:
    with cluster() as nodes:
        url = f"redis+cluster://127.0.0.1:{nodes[0].port}"
        async with PatientCache(url, ttl=60, memory_entries=0) as cache:
            await cache.set_many(vectors)
            nodes[0].kill()  # the one that the URL names

            for _ in range(10):
                found = await cache.get_many(list(vectors))
                assert 500 < sum(vector is not None for vector in found.values()) < 800
            with pytest.raises(CacheUnavailable):
                await cache.clear_pattern("image:*")

        # The second of those that the URL names tells a process that starts now of the others.
        async with PatientCache(
            f"{url},127.0.0.1:{nodes[1].port}", ttl=60, memory_entries=0
        ) as cache:
            found = await cache.get_many(list(vectors))
            assert 500 < sum(vector is not None for vector in found.values()) < 800


@pytest.mark.parametrize("known", [0, 1])
async def test_slots_that_are_given_out_late_are_found(
    known: int, vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster's servers answer before they know of all its slots, or of any."""
    monkeypatch.setattr(cluster_module, "REFRESH_SECONDS", 0.0)
    key, vector = next(iter(vectors.items()))
    node = started_server(SETTINGS)
    try:
        slot = node.command("CLUSTER", "KEYSLOT", key)
        others = [other for other in range(2**14) if other != slot]
        for other in others[:known]:
            node.command("CLUSTER", "ADDSLOTS", other)
        url = f"redis+cluster://127.0.0.1:{node.port}"
        async with PatientCache(url, ttl=60, memory_entries=0) as cache:
            assert not await cache.set_embedding(key, vector)
            node.command("CLUSTER", "ADDSLOTS", slot, *others[known:])

            await until_hit(cache, key, vector)
    finally:
        node.stop()


async def test_a_server_that_is_in_no_cluster_any_more_is_passed_over(
    url: str, vectors: Vectors
) -> None:
    key, vector = next(iter(vectors.items()))
    left = started_server(SETTINGS)
    try:
        both = url.replace("127.0.0.1", f"127.0.0.1:{left.port},127.0.0.1")
        async with PatientCache(both, ttl=60) as cache:
            assert await cache.set_embedding(key, vector)
    finally:
        left.stop()


async def test_without_any_server_everything_misses() -> None:
    async with EmbeddingCache(f"redis+cluster://localhost:{free_port()}") as cache:
        assert await cache.get_embedding("instruction:a") is None
        assert await cache.set_many({"image:a": [1.0]}) == {"image:a": False}
        assert (await cache.get_stats())["connected"] is False
        with pytest.raises(CacheUnavailable):
            await cache.clear_pattern("*")
