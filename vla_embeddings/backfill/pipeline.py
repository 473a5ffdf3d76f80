"""Reading, embedding and writing at the same time, with bounded memory."""

import asyncio
from dataclasses import dataclass, field

from vla_embeddings.backfill.leases import Leases, Row
from vla_embeddings.backfill.pace import Pace
from vla_embeddings.backfill.report import BackfillPlan, BackfillProgress, FailedRow, Progress
from vla_embeddings.backfill.sources import EmbedRows
from vla_embeddings.backfill.target import Target
from vla_embeddings.backfill.together import together
from vla_embeddings.metrics import BACKFILL_ROWS
from vla_embeddings.search import batch_index_embeddings
from vla_embeddings.search.handles import Connection, Handle, connected

BLOCKS_AT_ONCE = 3
"""One is read or written while another is embedded and a third waits to be."""


@dataclass
class Tally:
    """Rows that are through: committed, or found impossible to embed."""

    embedded: int = 0
    failed: list[FailedRow] = field(default_factory=list)


@dataclass(frozen=True)
class Pipeline:
    """Blocks of rows on their way, each in a transaction on a connection of its own."""

    db: Handle
    target: Target
    plan: BackfillPlan
    embed: EmbedRows
    leases: Leases
    pace: Pace
    stop: asyncio.Event
    progress: Progress

    async def run(self) -> Tally:
        """Fill all rows, or as many as come before `stop` is set."""
        tally = Tally()
        self._tell(tally)
        await together(self._fill(tally) for _ in range(BLOCKS_AT_ONCE))
        return tally

    async def _fill(self, tally: Tally) -> None:
        while True:
            await self.pace.wait(self.stop)
            if self.stop.is_set():
                return
            async with connected(self.db) as connection, self.leases.block(connection) as rows:
                if not rows:
                    return
                failed = await self._write(connection, rows)
            self._count(tally, len(rows) - len(failed), failed)

    async def _write(self, connection: Connection, rows: list[Row]) -> list[FailedRow]:
        """Embed and write `rows`; returns those that cannot be embedded."""
        outcomes = await self.embed(rows)
        failed = [outcome for outcome in outcomes if isinstance(outcome, FailedRow)]
        self.leases.give_up(row.id for row in failed)
        await batch_index_embeddings(
            connection,
            self.target.table.sql,
            [column.name for column in self.target.key],
            self.target.embedding.name,
            (
                {"id": row.key, "embedding": outcome}
                for row, outcome in zip(rows, outcomes, strict=True)
                if not isinstance(outcome, FailedRow)
            ),
            fingerprint=self.plan.fingerprint,
        )
        return failed

    def _count(self, tally: Tally, embedded: int, failed: list[FailedRow]) -> None:
        tally.embedded += embedded
        tally.failed += failed
        BACKFILL_ROWS.labels(self.target.kind, "embedded").inc(embedded)
        BACKFILL_ROWS.labels(self.target.kind, "failed").inc(len(failed))
        self._tell(tally)

    def _tell(self, tally: Tally) -> None:
        done = tally.embedded + len(tally.failed)
        self.progress(BackfillProgress("rows", done, self.plan.pending))
