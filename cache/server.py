"""The commands of the cache on one Redis server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import AskError, InvalidResponse, ResponseError

from vla_embeddings.cache.address import Address
from vla_embeddings.cache.breaker import Breaker
from vla_embeddings.cache.guard import Guard, Limits
from vla_embeddings.cache.keys import wire_key
from vla_embeddings.cache.pool import Pool
from vla_embeddings.cache.tally import Tally
from vla_embeddings.errors import CacheUnavailable

Word = str | bytes | int

# Seconds that a batch's deadline grows by per key: several times what loopback takes.
SECONDS_PER_KEY = 0.0001
CLOSE_SECONDS = 0.1
SCAN_COUNT = 1000


class SlotRange(NamedTuple):
    """The slots `first` to `last`, both included, and the server that owns them."""

    first: int
    last: int
    owner: Address


class Server:
    """One server's connections, for one event loop.

    On a server of a cluster each key gets a command of its own, in one pipeline, because all
    keys of one command must be of the same slot.
    """

    def __init__(self, address: Address, breaker: Breaker, tally: Tally, limits: Limits) -> None:
        self.address = address
        self.breaker = breaker
        self._guard = Guard(breaker, tally, limits, self._probe)
        # redis-py's pool has connecting end with its caller, so it only makes the connections.
        make = ConnectionPool(**address.options).make_connection
        self._pool = Pool(make, self._guard.note_connection)

    async def read(self, keys: Sequence[bytes]) -> Sequence[object]:
        """The reply for each key, in order: a value, an error, or None."""
        try:
            return await self._guard.run(
                partial(self._get, keys), extra_seconds=SECONDS_PER_KEY * len(keys)
            )
        except CacheUnavailable:
            return [None] * len(keys)

    async def write(
        self, entries: Sequence[tuple[bytes, bytes]], milliseconds: int
    ) -> list[object]:
        """The reply for each pair of key and value: b"OK", an error, or None."""
        commands = [("SET", key, value, "PX", milliseconds) for key, value in entries]
        try:
            return await self._guard.run(
                partial(self._exchange, commands), extra_seconds=SECONDS_PER_KEY * len(commands)
            )
        except CacheUnavailable:
            return [None] * len(commands)

    async def find(self, pattern: bytes) -> AsyncIterator[list[bytes]]:
        """The keys that match, page by page.

        Raises:
            CacheUnavailable: the server fails.
        """
        cursor, page = await self._guard.run(partial(self._scan, 0, pattern))
        yield page
        while cursor:
            cursor, page = await self._guard.run(partial(self._scan, cursor, pattern))
            yield page

    async def remove(self, keys: Sequence[bytes]) -> int:
        """Remove the keys; the number that were there.

        Raises:
            CacheUnavailable: the server fails, or refuses; part of the keys may be gone.
        """
        if not keys:
            return 0
        return await self._guard.run(
            partial(self._unlink, keys), extra_seconds=SECONDS_PER_KEY * len(keys)
        )

    async def memory_used(self) -> int:
        """Bytes that the server's data take, ours and others'.

        Raises:
            CacheUnavailable: the server fails.
        """
        return await self._guard.run(self._used_memory)

    async def clear(self, pattern: bytes) -> int:
        """Remove the keys that match; how many there were.

        Raises:
            CacheUnavailable: the server fails, or refuses; part of the keys may be gone.
        """
        return sum([await self.remove(page) async for page in self.find(pattern)])

    async def masters(self) -> list[Self]:
        """The servers that hold keys: this one."""
        return [self]

    async def slot_owners(self) -> list[SlotRange]:
        """Which server of the cluster owns which slots.

        Raises:
            CacheUnavailable: the server fails, or is in no cluster.
        """
        return await self._guard.run(self._cluster_slots)

    async def close(self) -> None:
        """Close all connections, those in use too."""
        await self._guard.close()
        with contextlib.suppress(Exception):  # a peer that is gone cannot say goodbye
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.close()

    async def _get(self, keys: Sequence[bytes]) -> Sequence[object]:
        if self.address.cluster:
            return await self._exchange([("GET", key) for key in keys])
        replies = await self._command("MGET", *keys)
        if not isinstance(replies, list) or len(replies) != len(keys):
            raise InvalidResponse("not the reply to MGET")
        return replies

    async def _unlink(self, keys: Sequence[bytes]) -> int:
        if self.address.cluster:
            replies = await self._exchange([("UNLINK", key) for key in keys])
            return sum(_no_error(reply) for reply in replies)
        return int(await self._command("UNLINK", *keys))

    async def _scan(self, cursor: int, pattern: bytes) -> tuple[int, list[bytes]]:
        position, page = await self._command("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
        if not isinstance(page, list):
            raise InvalidResponse("not the reply to SCAN")
        return int(position), page

    async def _used_memory(self) -> int:
        lines = (await self._command("INFO", "memory")).split(b"\r\n")
        return int(dict(line.split(b":", 1) for line in lines if b":" in line)[b"used_memory"])

    async def _cluster_slots(self) -> list[SlotRange]:
        ranges = [
            # A server that does not know its own address leaves the host out.
            SlotRange(first, last, self.address.at((host or b"").decode(), port))
            for first, last, (host, port, *_), *_ in await self._command("CLUSTER", "SLOTS")
        ]
        if not all(0 <= first <= last < REDIS_CLUSTER_HASH_SLOTS for first, last, _ in ranges):
            raise InvalidResponse("not the reply to CLUSTER SLOTS")
        return ranges

    async def _probe(self) -> None:
        # A read like the callers'; PING would be answered where reads are not allowed.
        with contextlib.suppress(AskError):  # the key is another server's, and this one answers
            await self._command("MGET", wire_key(""))

    async def _command(self, *words: Word) -> Any:
        (reply,) = await self._exchange([words])
        return _no_error(reply)

    async def _exchange(self, commands: Sequence[tuple[Word, ...]]) -> list[object]:
        """The replies to commands sent at once, errors among them.

        Leaner than redis-py's client and pipeline: an MGET of 1,000 keys takes a fifth less time.
        """
        connection = await self._pool.take()
        try:
            await connection.send_packed_command(b"".join(map(_packed, commands)))
            return [await _reply(connection) for _ in commands]
        except BaseException:
            # Replies may be under way; they must not reach the connection's next user.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.give(connection)


def _packed(words: tuple[Word, ...]) -> bytes:
    packed: bytes = pack_command(words)  # type: ignore[arg-type]  # annotated for one word alone
    return packed


def _no_error(reply: object) -> Any:
    if isinstance(reply, ResponseError):
        raise reply
    return reply


async def _reply(connection: AbstractConnection) -> object:
    try:
        reply: object = await connection.read_response()
    except ResponseError as error:
        return error
    return reply
