"""Writing a batch so that neither a bad row nor a withdrawn consent goes along with it."""

import asyncio
import logging
from collections.abc import Sequence
from typing import get_args

from vla_embeddings.errors import DatabaseUnavailable, InvalidInput
from vla_embeddings.inference.consent import UNKNOWN, Consent
from vla_embeddings.inference.record import Attempt, Fate, Kind, Record
from vla_embeddings.inference.rows import VectorKeptOut, write
from vla_embeddings.models import Kind as ModelKind
from vla_embeddings.search.handles import Handle
from vla_embeddings.service import EmbeddingService

logger = logging.getLogger(__name__)

_MODELS: dict[Kind, ModelKind] = {"instruction": "text", "image": "image"}


_OF_THE_DATABASE = ("25", "40", "42", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE that say nothing about a row: read-only, a collision, a missing privilege,
no memory, a locked table, a timeout, the system."""


class Writer:
    """Writes records whose customers still agree, each kind in one transaction."""

    def __init__(self, service: EmbeddingService, db: Handle, consent: Consent) -> None:
        self._service = service
        self._db = db
        self._consent = consent

    async def write(self, records: Sequence[Record]) -> list[Attempt]:
        """Try once; what came of each record, in any order. Never raises."""
        kinds: tuple[Kind, ...] = get_args(Kind)
        return [
            attempt
            for kind in kinds
            for attempt in await self._write(kind, [r for r in records if r.kind == kind])
        ]

    async def _write(self, kind: Kind, records: Sequence[Record]) -> list[Attempt]:
        """Ask, and write those that may be; where one row is at fault, in halves without it."""
        attempts = await self._disallowed(records)
        settled = {attempt.record for attempt in attempts}
        allowed = [record for record in records if record not in settled]
        if not allowed:
            return attempts
        try:
            fingerprint = await self._service.fingerprint(_MODELS[kind])
            return attempts + await write(self._db, kind, allowed, fingerprint=fingerprint)
        except Exception as error:
            fate, detail = _fate(error), str(error)
        if fate is Fate.WAITING:
            _warn_of_waiting(kind, allowed, detail)
        elif len(allowed) > 1:
            half = len(allowed) // 2
            attempts += await self._write(kind, allowed[:half])
            return attempts + await self._write(kind, allowed[half:])
        return attempts + [Attempt(record, fate, detail) for record in allowed]

    async def _disallowed(self, records: Sequence[Record]) -> list[Attempt]:
        """The records whose customers do not, or not demonstrably, agree any more."""
        customers = list({record.inference.customer_id for record in records})
        verdicts = await asyncio.gather(*(self._consent.ask(customer) for customer in customers))
        fates = {
            customer: Fate.WAITING if verdict in UNKNOWN else Fate.WITHDRAWN
            for customer, verdict in zip(customers, verdicts, strict=True)
            if verdict != "granted"
        }
        return [
            Attempt(record, fates[record.inference.customer_id])
            for record in records
            if record.inference.customer_id in fates
        ]


def _fate(error: Exception) -> Fate:
    """What a failed attempt means for its records, as if there were but one."""
    if isinstance(error, InvalidInput):
        return Fate.REFUSED
    if isinstance(error, VectorKeptOut):
        return Fate.BLOCKED
    state = getattr(error.__cause__, "sqlstate", None)
    if isinstance(error, DatabaseUnavailable) or state is None:
        return Fate.WAITING
    return Fate.WAITING if state.startswith(_OF_THE_DATABASE) else Fate.BLOCKED


def _warn_of_waiting(kind: Kind, records: Sequence[Record], detail: str) -> None:
    logger.warning(
        "%d %s vectors wait, since they cannot be written: %s",
        len(records),
        kind,
        detail,
        extra={
            "embedding_kind": kind,
            "vectors": len(records),
            "reason": str(Fate.WAITING),
        },
    )
