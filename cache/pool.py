"""Open connections to one server, and the opening of more."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from weakref import WeakSet

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError

# Seconds that opening a connection may take: a TLS handshake over a network outlasts the deadline.
CONNECT_SECONDS = 1.0

# Its name before redis-py 8, where it never took anything away either.
_can_read = (
    getattr(AbstractConnection, "can_read", None) or AbstractConnection.can_read_destructive
)


class Pool:
    """One server's connections, for one event loop.

    One is opened in the background, so that it is there for the next caller where opening outlasts
    the deadline of the one who needed it. There are never more than callers at the same time.

    Args:
        make: makes a connection, without opening it.
        came_late: called where one is open and nobody waits for it any more.
    """

    def __init__(
        self, make: Callable[[], AbstractConnection], came_late: Callable[[], None]
    ) -> None:
        self._make = make
        self._came_late = came_late
        # Weakly: whoever is cancelled while it has one may lose it.
        self._all: WeakSet[AbstractConnection] = WeakSet()
        # The last one used goes first, and one that failed is opened anew before an older one is
        # tried: what cut it off may have cut off all.
        self._idle: list[AbstractConnection] = []
        self._opening: dict[AbstractConnection, asyncio.Task[None]] = {}
        self._waiting: deque[asyncio.Future[AbstractConnection]] = deque()
        self._closed = False

    async def take(self) -> AbstractConnection:
        """An open connection, which nobody else has until it is given back.

        Raises:
            RedisError, TimeoutError: none could be opened.
        """
        connection = self._idle.pop() if self._idle else None
        if connection is not None and await _is_usable(connection):
            return connection
        waiter: asyncio.Future[AbstractConnection] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            self._open_if_too_few(connection)
            return await waiter
        except asyncio.CancelledError:
            # It may have been given one at the same moment.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                await self.give(waiter.result())
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiter)

    async def give(self, connection: AbstractConnection) -> None:
        """Hand a connection to who waits for one, or keep it."""
        if self._waiting and await _is_usable(connection) and (waiter := self._next_waiter()):
            waiter.set_result(connection)
        elif self._closed:  # its user began before that
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)

    async def close(self) -> None:
        """Close all connections, those in use and those being opened too."""
        self._closed = True
        while waiter := self._next_waiter():
            waiter.set_exception(Disconnected("closed"))
        opening, self._opening = list(self._opening.values()), {}
        for task in opening:
            task.cancel()
        await asyncio.gather(
            *opening,
            *(connection.disconnect() for connection in self._all),
            return_exceptions=True,
        )

    def _open_if_too_few(self, closed: AbstractConnection | None) -> None:
        """Begin to open a connection, unless those being opened are enough for who waits."""
        if len(self._opening) < len(self._waiting):
            connection = closed or self._make()
            self._all.add(connection)
            task = asyncio.create_task(self._open(connection))
            if not task.done():  # as one that an eager task factory started may be
                self._opening[connection] = task

    async def _open(self, connection: AbstractConnection) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException as error:
            self._opening.pop(connection, None)
            await connection.disconnect(nowait=True)
            if not isinstance(error, Exception):
                raise
            # Who no longer waits has counted a failure already.
            if waiter := self._next_waiter():
                waiter.set_exception(error)
        else:
            self._opening.pop(connection, None)
            late = not self._waiting and not self._closed
            await self.give(connection)
            if late:
                self._came_late()

    def _next_waiter(self) -> asyncio.Future[AbstractConnection] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None


async def _is_usable(connection: AbstractConnection) -> bool:
    """Whether it is open and nothing came since the last reply; else it is closed."""
    if not connection.is_connected:
        return False
    usable = False
    try:
        usable = not await _can_read(connection)
    except (RedisError, OSError):
        pass
    finally:
        if not usable:
            await connection.disconnect(nowait=True)
    return usable
