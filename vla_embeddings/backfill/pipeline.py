"""Reading, embedding and writing at the same time, with bounded memory."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vla_embeddings.backfill.leases import Leases, Row
from vla_embeddings.backfill.pace import Pace
from vla_embeddings.backfill.refused import refused
from vla_embeddings.backfill.report import FailedRow
from vla_embeddings.backfill.sources import EmbedRows
from vla_embeddings.backfill.target import Target
from vla_embeddings.search import batch_index_embeddings
from vla_embeddings.search.handles import Connection, Handle, connected
from vla_embeddings.together import together

BLOCKS_AT_ONCE = 3
"""One is read or written while another is embedded and a third waits to be."""


@dataclass(frozen=True)
class Pipeline:
    """Blocks of rows on their way, each in a transaction on a connection of its own.

    `done` hears of each that is through: how many rows were embedded, and which cannot be.
    """

    db: Handle
    target: Target
    fingerprint: str
    embed: EmbedRows
    leases: Leases
    pace: Pace
    stop: asyncio.Event
    done: Callable[[int, list[FailedRow]], Awaitable[None]]

    async def run(self) -> None:
        """Fill all rows that `leases` gives, or as many as come before `stop` is set."""
        await together(self._fill() for _ in range(BLOCKS_AT_ONCE))

    async def _fill(self) -> None:
        while True:
            await self.pace.wait(self.stop)
            if self.stop.is_set():
                return
            async with connected(self.db) as connection, self.leases.block(connection) as rows:
                if not rows:
                    return
                failed = await self._write(connection, rows)
            await self.done(len(rows) - len(failed), failed)

    async def _write(self, connection: Connection, rows: list[Row]) -> list[FailedRow]:
        """Embed and write `rows`; returns those that have no vector after all."""
        outcomes = await self.embed(rows)
        failed = [outcome for outcome in outcomes if isinstance(outcome, FailedRow)]
        vectors = {
            row.key: outcome
            for row, outcome in zip(rows, outcomes, strict=True)
            if not isinstance(outcome, FailedRow)
        }
        changed = await batch_index_embeddings(
            connection,
            self.target.table.sql,
            [column.name for column in self.target.key],
            self.target.embedding.name,
            ({"id": key, "embedding": vector} for key, vector in vectors.items()),
            fingerprint=self.fingerprint,
        )
        if changed < len(vectors):
            failed += await refused(connection, self.target, list(vectors))
        self.leases.give_up(row.id for row in failed)
        return failed
