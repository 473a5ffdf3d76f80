"""The connections of each event loop."""

import asyncio

from vla_embeddings.cache.address import Address
from vla_embeddings.cache.breaker import Breaker, State, worst
from vla_embeddings.cache.cluster import Cluster
from vla_embeddings.cache.guard import Limits
from vla_embeddings.cache.server import Server
from vla_embeddings.cache.tally import Tally


class Connections:
    """Connects each event loop to Redis on its first use.

    A connection belongs to the loop it was opened in. The breakers are shared by all loops, so
    that short-lived ones need not find out anew that a server is down.
    """

    def __init__(self, address: Address, tally: Tally, limits: Limits) -> None:
        self._address = address
        self._tally = tally
        self._limits = limits
        self._breakers: dict[str, Breaker] = {}
        self._stores: dict[asyncio.AbstractEventLoop, Server | Cluster] = {}

    def current(self) -> Server | Cluster:
        """The connections of the running event loop."""
        loop = asyncio.get_running_loop()
        store = self._stores.get(loop)
        if store is None:
            self._drop_ended_loops()
            if self._address.cluster:
                store = Cluster(self._address, self._connect)
            else:
                store = self._connect(self._address)
            self._stores[loop] = store
        return store

    def worst_state(self) -> State:
        """The state of the breaker that is furthest from closed."""
        return worst(self._breakers.values())

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        self._drop_ended_loops()
        store = self._stores.pop(asyncio.get_running_loop(), None)
        if store is not None:
            await store.close()

    def _connect(self, address: Address) -> Server:
        breaker = self._breakers.get(address.name)
        if breaker is None:
            breaker = self._breakers[address.name] = Breaker(address.name)
        return Server(address, breaker, self._tally, self._limits)

    def _drop_ended_loops(self) -> None:
        """Let go of connections that nobody closed before their loop ended."""
        for loop in list(self._stores):  # a copy, for other threads may add theirs meanwhile
            if loop.is_closed():
                self._stores.pop(loop, None)
