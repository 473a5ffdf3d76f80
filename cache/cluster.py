"""A Redis Cluster: each key goes to the server that owns its slot.

redis-py's own RedisCluster answers a server's failure by closing its connections to all servers
and pausing; here every server has its own deadline and breaker, so one that is down costs only
the keys it owns.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError

from vla_embeddings.cache.address import Address
from vla_embeddings.cache.server import Server, SlotRange
from vla_embeddings.errors import CacheUnavailable

REFRESH_SECONDS = 1.0


class Cluster:
    """The masters of a cluster, for one event loop.

    Args:
        address: some servers of the cluster, of which one must answer at first.
        connect: makes the `Server` of an address.
    """

    def __init__(self, address: Address, connect: Callable[[Address], Server]) -> None:
        self._seeds = [connect(seed) for seed in address.seeds()]
        self._connect = connect
        self._servers: dict[str, Server] = {}
        self._owners: list[Server | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._stale = True
        self._refresh_after = 0.0
        self._refreshing: asyncio.Task[None] | None = None

    async def read(self, keys: Sequence[bytes]) -> Sequence[object]:
        """As `Server.read`; all servers are asked at once."""
        shares = await self._shares(keys)
        replies = await asyncio.gather(
            *(server.read([keys[i] for i in share]) for server, share in shares.items())
        )
        return self._in_order(len(keys), shares, replies)

    async def write(
        self, entries: Sequence[tuple[bytes, bytes]], milliseconds: int
    ) -> list[object]:
        """As `Server.write`; all servers are asked at once."""
        shares = await self._shares([key for key, _ in entries])
        replies = await asyncio.gather(
            *(
                server.write([entries[i] for i in share], milliseconds)
                for server, share in shares.items()
            )
        )
        return self._in_order(len(entries), shares, replies)

    async def masters(self) -> list[Server]:
        """All servers that own slots.

        Raises:
            CacheUnavailable: no server of the cluster says which they are.
        """
        await self._refresh_if_due()
        if not self._servers:
            raise CacheUnavailable("No server of the Redis Cluster answers.")
        return list(self._servers.values())

    async def clear(self, pattern: bytes) -> int:
        """As `Server.clear`, on one server after the other."""
        try:
            return sum([await server.clear(pattern) for server in await self.masters()])
        except CacheUnavailable:
            self._stale = True  # the reason may be that slots moved
            raise

    async def close(self) -> None:
        """Close all connections."""
        for server in (*self._seeds, *self._servers.values()):
            await server.close()

    async def _shares(self, keys: Sequence[bytes]) -> dict[Server, list[int]]:
        """The positions of the keys that each server owns."""
        await self._refresh_if_due()
        shares: dict[Server, list[int]] = defaultdict(list)
        for position, key in enumerate(keys):
            if (owner := self._owners[key_slot(key)]) is not None:
                shares[owner].append(position)
        return shares

    def _in_order(
        self, count: int, shares: dict[Server, list[int]], replies: Sequence[Sequence[object]]
    ) -> list[object]:
        """The servers' replies in the order of the keys."""
        ordered: list[object] = [None] * count
        for share, answers in zip(shares.values(), replies, strict=True):
            for position, answer in zip(share, answers, strict=True):
                ordered[position] = answer
                if isinstance(answer, AskError | ClusterDownError):
                    self._stale = True
        return ordered

    async def _refresh_if_due(self) -> None:
        """Ask for the owners of the slots where they may have changed, once a second at most."""
        failing = any(server.breaker.state != "closed" for server in self._servers.values())
        if (self._stale or failing) and time.monotonic() >= self._refresh_after:
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = asyncio.create_task(self._refresh())
            # Unlike await, wait leaves it to the others and the next where a caller is cancelled.
            await asyncio.wait((self._refreshing,))
            self._refreshing.result()

    async def _refresh(self) -> None:
        for server in (*self._servers.values(), *self._seeds):
            try:
                ranges = await server.slot_owners()
            except CacheUnavailable:
                continue
            if ranges:  # else it is in no cluster yet, or any more
                await self._adopt(ranges)
                break
        self._refresh_after = time.monotonic() + REFRESH_SECONDS

    async def _adopt(self, ranges: Sequence[SlotRange]) -> None:
        before, self._servers = self._servers, {}
        self._owners = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, address in ranges:
            server = self._servers.get(address.name) or before.pop(address.name, None)
            self._servers[address.name] = server = server or self._connect(address)
            self._owners[first : last + 1] = [server] * (last + 1 - first)
        self._stale = None in self._owners  # who owns them may be known later
        for server in before.values():
            await server.close()
