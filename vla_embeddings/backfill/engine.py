"""What every engine is given to do, and the one that does it in this process."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vla_embeddings.backfill.leases import Leases
from vla_embeddings.backfill.pace import Pace
from vla_embeddings.backfill.pipeline import Pipeline
from vla_embeddings.backfill.report import FailedRow
from vla_embeddings.backfill.sources import embedding_of
from vla_embeddings.backfill.tally import Tally
from vla_embeddings.backfill.target import Kind, Target
from vla_embeddings.search.handles import Handle
from vla_embeddings.service import EmbeddingService

BLOCK_ROWS: dict[Kind, int] = {"text": 512, "image": 16}
"""Rows leased, embedded and written at a time.

Of texts, enough to sort them into batches that hardly pad: with 256 a backfill has 0.89 of the
encoder's own speed, with 512 0.94, with 1,024 0.97, and as many more to do again after a kill. Of
images, two batches."""


@dataclass(frozen=True)
class Work:
    """Rows to embed, `pending` of them; all else is as in `backfill`."""

    target: Target
    fingerprint: str
    pending: int
    root: Path | None
    rows_per_second: float | None


class Engine(Protocol):
    """Carries out the work, in whatever processes."""

    async def fill(
        self,
        db: Handle,
        service: EmbeddingService,
        work: Work,
        tally: Tally,
        stop: asyncio.Event,
    ) -> None:
        """Embed and write all rows, or as many as come before `stop` is set.

        What is through is added to `tally`, block by block.
        """


@dataclass(frozen=True)
class LocalEngine:
    """Works in this process, on the caller's own handle and service."""

    async def fill(
        self,
        db: Handle,
        service: EmbeddingService,
        work: Work,
        tally: Tally,
        stop: asyncio.Event,
    ) -> None:
        async def add(embedded: int, failed: list[FailedRow]) -> None:
            tally.add(embedded, failed)

        pace = Pace(work.rows_per_second, block_rows=BLOCK_ROWS[work.target.kind])
        await Pipeline(
            db=db,
            target=work.target,
            fingerprint=work.fingerprint,
            embed=embedding_of(service, work.target, work.root),
            leases=Leases(work.target, block_rows=pace.block_rows, stop=stop),
            pace=pace,
            stop=stop,
            done=add,
        ).run()
