"""One encoder on Ray, which fills one range of keys after the other."""

import asyncio
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vla_embeddings.backfill.engine import BLOCK_ROWS, Work
from vla_embeddings.backfill.keys import KeyRange
from vla_embeddings.backfill.leases import Leases
from vla_embeddings.backfill.pace import Pace
from vla_embeddings.backfill.pipeline import BLOCKS_AT_ONCE, Pipeline
from vla_embeddings.backfill.report import FailedRow
from vla_embeddings.backfill.sources import embedding_of
from vla_embeddings.errors import ConfigurationError, EmbeddingError
from vla_embeddings.search import Database
from vla_embeddings.service import EmbeddingService

RANGE = "range"
"""The column of a dataset that holds pickled ranges of keys."""


@dataclass(frozen=True)
class Assignment:
    """What a worker needs to know; it is sent to its machine."""

    dsn: str
    work: Work
    make_service: Callable[[], EmbeddingService]
    ledger: Any


class Worker:
    """Leases, embeds and writes the rows of a range just as the local engine does all rows.

    Ray Data makes one an actor, and calls it with a range at a time. The loop, the connections
    and the model live as long as the actor.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._runner = asyncio.Runner()
        self._stop = asyncio.Event()
        work = assignment.work
        self._pace = Pace(work.rows_per_second, block_rows=BLOCK_ROWS[work.target.kind])
        self._service = assignment.make_service()
        self._db: Database | None = None  # connected at the first call, which can tell of errors

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for pickled in batch[RANGE]:
            self._runner.run(self._try(pickle.loads(pickled)))
        return batch

    async def _try(self, within: KeyRange) -> None:
        try:
            self._db = self._db or await self._connect()
            await self._fill(self._db, within)
        except EmbeddingError as error:
            self._stop.set()
            await self._assignment.ledger.fail.remote(error)

    async def _connect(self) -> Database:
        work = self._assignment.work
        own = await self._service.fingerprint(work.target.kind)
        if own != work.fingerprint:
            raise ConfigurationError(
                f"A worker's model is {own}, and the column is filled with {work.fingerprint}. "
                "Give all machines the same models and EMBEDDING_* settings."
            )
        return await Database.connect(self._assignment.dsn, max_size=BLOCKS_AT_ONCE)

    async def _fill(self, db: Database, within: KeyRange) -> None:
        work = self._assignment.work
        await Pipeline(
            db=db,
            target=work.target,
            fingerprint=work.fingerprint,
            embed=embedding_of(self._service, work.target, work.root),
            leases=Leases(
                work.target, block_rows=self._pace.block_rows, stop=self._stop, within=within
            ),
            pace=self._pace,
            stop=self._stop,
            done=self._add,
        ).run()

    async def _add(self, embedded: int, failed: list[FailedRow]) -> None:
        if await self._assignment.ledger.add.remote(embedded, failed):
            self._stop.set()
