"""Whether a customer lets us store vectors: asked once in a while, no unless it is a clear yes."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from vla_embeddings.errors import DatabaseUnavailable
from vla_embeddings.inference.customers import one_spelling

logger = logging.getLogger(__name__)

ConsentCheck: TypeAlias = Callable[[str], Awaitable[bool]]
"""Customer to True where the customer agreed; anything but True is a no. What it raises is a no
as well, but for `DatabaseUnavailable`: it is asked again once a database can be reached."""

Verdict: TypeAlias = Literal[
    "granted", "denied", "no customer", "no check", "failed", "timed out", "unavailable"
]

UNKNOWN: frozenset[Verdict] = frozenset({"failed", "timed out", "unavailable"})
"""Verdicts that say nothing about the customer. `unavailable` is a check whose database is down:
what it would let through could not be stored now either, and may wait."""

CHECK_SECONDS = 1.0

# Customers remembered at once. Past it all are asked anew, which is simpler than choosing some.
MAX_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class _Asked:
    answer: asyncio.Task[Verdict]
    expires: float


class Consent:
    """Asks a check and remembers its answers.

    Concurrent questions about one customer are asked once. A check that failed or took longer
    than `CHECK_SECONDS` is asked again at the next question.

    Args:
        check: None denies everything.
        ttl: seconds for which an answer holds, counted from the question.
    """

    def __init__(self, check: ConsentCheck | None, *, ttl: float) -> None:
        self._check = check
        self._ttl = ttl
        self._asked: dict[str, _Asked] = {}

    async def ask(self, customer_id: str | None) -> Verdict:
        """The verdict on one customer; never raises."""
        if self._check is None:
            return "no check"
        if not isinstance(customer_id, str) or not customer_id:
            return "no customer"
        asked = self._asked.get(customer_id)
        if asked is None or time.monotonic() >= asked.expires:
            asked = self._question(self._check, customer_id)
        # Unlike await, wait leaves the question to the others where this caller is cancelled.
        await asyncio.wait((asked.answer,), timeout=CHECK_SECONDS)
        answered = asked.answer.done() and not asked.answer.cancelled()
        verdict = asked.answer.result() if answered else "timed out"
        if verdict in UNKNOWN and self._asked.get(customer_id) is asked:
            asked.answer.cancel()
            del self._asked[customer_id]
        return verdict

    def forget(self, customer_id: str) -> None:
        """Ask anew about this customer, whatever an earlier question may still answer."""
        wanted = one_spelling(customer_id)
        for spelling in [known for known in self._asked if one_spelling(known) == wanted]:
            del self._asked[spelling]

    def _question(self, check: ConsentCheck, customer_id: str) -> _Asked:
        if len(self._asked) >= MAX_REMEMBERED:
            self._asked.clear()
        answer = asyncio.ensure_future(_verdict(check, customer_id))
        asked = _Asked(answer, time.monotonic() + self._ttl)
        self._asked[customer_id] = asked
        return asked


async def _verdict(check: ConsentCheck, customer_id: str) -> Verdict:
    try:
        return "granted" if await check(customer_id) is True else "denied"
    except DatabaseUnavailable:
        return "unavailable"
    except Exception as error:
        logger.warning(
            "The consent check failed, so nothing is stored: %s",
            error,
            extra={"customer_id": customer_id, "reason": "failed"},
        )
        return "failed"
