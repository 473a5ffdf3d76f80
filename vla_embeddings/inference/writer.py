"""Writing a batch so that neither a bad row nor a withdrawn consent goes along with it."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from vla_embeddings.errors import DatabaseUnavailable, InvalidInput
from vla_embeddings.inference.consent import UNKNOWN, Consent
from vla_embeddings.inference.record import Attempt, Fate, Kind, Record
from vla_embeddings.inference.rows import write
from vla_embeddings.models import Kind as ModelKind
from vla_embeddings.search.handles import Handle
from vla_embeddings.service import EmbeddingService

logger = logging.getLogger(__name__)

_MODELS: dict[Kind, ModelKind] = {"instruction": "text", "image": "image"}


class Writer:
    """Writes records whose customers still agree, each kind in one transaction."""

    def __init__(self, service: EmbeddingService, db: Handle, consent: Consent) -> None:
        self._service = service
        self._db = db
        self._consent = consent

    async def write(self, records: Sequence[Record]) -> list[Attempt]:
        """Try once; what came of each record, in any order. Never raises."""
        attempts = await self._checked(records)
        kinds: tuple[Kind, ...] = get_args(Kind)
        for kind in kinds:
            settled = {attempt.record for attempt in attempts}
            if left := [r for r in records if r.kind == kind and r not in settled]:
                attempts += await self._write_kind(kind, left)
        return attempts

    async def _checked(self, records: Sequence[Record]) -> list[Attempt]:
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

    async def _write_kind(self, kind: Kind, records: Sequence[Record]) -> list[Attempt]:
        try:
            attempts = await self._write_all(kind, records)
        except DatabaseUnavailable as error:
            attempts = [Attempt(record, Fate.WAITING, str(error)) for record in records]
        if waiting := [attempt for attempt in attempts if attempt.fate is Fate.WAITING]:
            logger.warning(
                "%d %s vectors wait, since they cannot be written: %s",
                len(waiting),
                kind,
                waiting[0].detail,
                extra={
                    "embedding_kind": kind,
                    "vectors": len(waiting),
                    "reason": str(Fate.WAITING),
                },
            )
        return attempts

    async def _write_all(self, kind: Kind, records: Sequence[Record]) -> list[Attempt]:
        try:
            return await self._transaction(kind, records)
        except DatabaseUnavailable:
            raise
        except Exception:
            attempts = [await self._write_one(kind, record) for record in records]
        if all(attempt.fate is not Fate.STORED for attempt in attempts):
            return attempts
        return [
            replace(attempt, fate=Fate.BLOCKED) if attempt.fate is Fate.WAITING else attempt
            for attempt in attempts
        ]

    async def _write_one(self, kind: Kind, record: Record) -> Attempt:
        try:
            [attempt] = await self._transaction(kind, [record])
        except DatabaseUnavailable:
            raise
        except InvalidInput as error:
            return Attempt(record, Fate.REFUSED, str(error))
        except Exception as error:
            return Attempt(record, Fate.WAITING, str(error))
        return attempt

    async def _transaction(self, kind: Kind, records: Sequence[Record]) -> list[Attempt]:
        fingerprint = await self._service.fingerprint(_MODELS[kind])
        return await write(self._db, kind, records, fingerprint=fingerprint)
