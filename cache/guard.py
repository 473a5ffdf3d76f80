"""Operations on one server: a bounded number at once, each under a deadline."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from vla_embeddings.cache.breaker import Breaker
from vla_embeddings.cache.pool import CONNECT_SECONDS
from vla_embeddings.cache.tally import Tally
from vla_embeddings.errors import CacheUnavailable

T = TypeVar("T")

# Deadlines that a caller waits for a turn, 2.5 s by default: on a Redis that is well, thousands of
# calls at once take less; on one that is slower than calls come, the queue ends there.
DEADLINES_FOR_A_TURN = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds one operation may take, and operations (each on one connection) at once."""

    deadline: float
    max_connections: int


class Guard:
    """Runs operations while the breaker is closed, and probes the server while it is not.

    Args:
        probe: one small operation like those that are guarded.
    """

    def __init__(
        self, breaker: Breaker, tally: Tally, limits: Limits, probe: Callable[[], Awaitable[None]]
    ) -> None:
        self._breaker = breaker
        self._tally = tally
        self._deadline = limits.deadline
        self._turns = asyncio.Semaphore(limits.max_connections)
        self._probe = probe
        self._probing: asyncio.Task[None] | None = None

    async def run(self, work: Callable[[], Awaitable[T]], *, extra_seconds: float = 0.0) -> T:
        """The result of `work()`, within the deadline and `extra_seconds`.

        Waiting for a turn does not count, but has a bound of its own: many callers at once are no
        fault of the server, which the breaker leaves alone.

        Raises:
            CacheUnavailable: the breaker is not closed, the server failed, or no turn came.
        """
        self._refuse_unless_closed()
        async with self._turn():
            self._refuse_unless_closed()  # it may have opened while this caller waited
            started = time.monotonic()
            try:
                async with asyncio.timeout(self._deadline + extra_seconds):
                    result = await work()
            except Exception as error:  # a broken server makes its client raise anything
                reason = type(error).__name__
                self._tally.add_error(reason)
                self._breaker.failed(reason, started)
                # Redis repeats a refused AUTH with its arguments, so the text is not passed on.
                raise CacheUnavailable(f"Redis failed ({reason}).") from None
            self._breaker.succeeded()
            return result

    def note_connection(self) -> None:
        """Note that a connection came, after whoever needed it had failed for want of it."""
        self._probe_if_due(at_once=True)

    async def close(self) -> None:
        """Stop a probe that is under way."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait((self._probing,))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(DEADLINES_FOR_A_TURN * self._deadline):
                await self._turns.acquire()
        except TimeoutError:
            self._tally.add_error("no turn")
            raise CacheUnavailable(
                "Too many calls wait for Redis. Raise EMBEDDING_CACHE_MAX_CONNECTIONS, or look "
                "why it is slow."
            ) from None
        try:
            yield
        finally:
            self._turns.release()

    def _refuse_unless_closed(self) -> None:
        if self._breaker.state == "closed":
            return
        self._probe_if_due()
        raise CacheUnavailable("Redis failed and is bypassed; it is probed once a second.")

    def _probe_if_due(self, *, at_once: bool = False) -> None:
        if self._breaker.begin_probe(at_once=at_once):
            # In the background: no caller waits to find out that the server is still down.
            self._probing = asyncio.get_running_loop().create_task(self._try_again())
            self._probing.add_done_callback(self._note_probe)

    async def _try_again(self) -> None:
        async with self._turns:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._probe()
            async with asyncio.timeout(self._deadline):
                await self._probe()

    def _note_probe(self, done: asyncio.Task[None]) -> None:
        if done.cancelled():
            self._breaker.failed("cancelled", time.monotonic())
        elif (error := done.exception()) is not None:
            self._breaker.failed(type(error).__name__, time.monotonic())
        else:
            self._breaker.succeeded()
