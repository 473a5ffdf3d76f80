"""A circuit breaker: a server that fails is left alone, and asked again from time to time."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal
from weakref import WeakSet

from vla_embeddings.metrics import CACHE_BREAKER_STATE

logger = logging.getLogger(__name__)

State = Literal["closed", "half-open", "open"]

FAILURES_TO_OPEN = 3
COOLDOWN_SECONDS = 1.0
# After this, a probe whose event loop ended is given up.
PROBE_SECONDS = 5.0

_SEVERITY: dict[State, int] = {"closed": 0, "half-open": 1, "open": 2}

# The breakers of all caches of this process, by server.
_OF_SERVER: defaultdict[str, WeakSet["Breaker"]] = defaultdict(WeakSet)


class Breaker:
    """Opens after three failures in a row; a second later one probe may try whether it closes.

    Args:
        server: the server's name in logs and metrics, without credentials.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._state: State = "closed"
        self._failures = 0
        self._failed_at = 0.0
        self._probe_after = 0.0
        breakers = _OF_SERVER[server]
        breakers.add(self)
        CACHE_BREAKER_STATE.labels(server).set_function(lambda: _SEVERITY[worst(breakers)])

    @property
    def state(self) -> State:
        """Closed while the server is used, open while it is not, half-open while it is probed."""
        return self._state

    def begin_probe(self, *, at_once: bool = False) -> bool:
        """Whether the caller shall probe the server now; one caller a second gets True.

        Args:
            at_once: do not wait for the second to end, but for a probe under way.
        """
        now = time.monotonic()
        waits = now < self._probe_after and not (at_once and self._state == "open")
        if self._state == "closed" or waits:
            return False
        self._probe_after = now + PROBE_SECONDS
        self._state = "half-open"
        return True

    def failed(self, reason: str, started: float) -> None:
        """Note that an operation begun at `started` (`time.monotonic`) failed.

        Operations under way at the same time fail together when this process is held up for a
        moment, so they count once. `reason` must not hold credentials.
        """
        if started < self._failed_at:
            return
        self._failed_at = time.monotonic()
        self._probe_after = self._failed_at + COOLDOWN_SECONDS
        self._failures += 1
        if self._state == "half-open":
            self._state = "open"
        elif self._state == "closed" and self._failures >= FAILURES_TO_OPEN:
            logger.warning(
                "%s fails (%s); going on without it",
                self._server,
                reason,
                extra={"server": self._server, "reason": reason},
            )
            self._state = "open"

    def succeeded(self) -> None:
        """Note an answer."""
        self._failures = 0
        if self._state != "closed":
            logger.info("%s answers again", self._server, extra={"server": self._server})
            self._state = "closed"


def worst(breakers: Iterable[Breaker]) -> State:
    """The state that is furthest from closed."""
    states: list[State] = ["closed", *(breaker.state for breaker in breakers)]
    return max(states, key=_SEVERITY.__getitem__)
