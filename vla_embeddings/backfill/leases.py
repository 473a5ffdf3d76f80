"""Rows without a vector, leased block by block to whoever asks.

A lease is a row lock (FOR NO KEY UPDATE SKIP LOCKED): workers in any number of processes pass
over each other's rows, the row cannot change between reading and writing, and the server itself
frees it when the worker's connection ends, however that comes about. Inserts that refer to the
row by a foreign key are not held up.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from vla_embeddings.backfill.keys import ALL_KEYS, Key, KeyRange
from vla_embeddings.backfill.stopping import unless_stopped
from vla_embeddings.backfill.target import Target
from vla_embeddings.backfill.transaction import scan, working
from vla_embeddings.search.binding import Parameters
from vla_embeddings.search.handles import Connection

# The second takes what other workers held during the first and did not finish, and what came in
# behind it. Not until nothing is found: on a busy table that would never be.
PASSES = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One row to embed: its key, and its source as text, bytes, or None where it is NULL."""

    key: Key
    source: Any

    @property
    def id(self) -> Any:
        """The key as people know it: its value, or a tuple where it has several columns."""
        return self.key[0] if len(self.key) == 1 else self.key


class Leases:
    """Goes through `target` along its key, `block_rows` at a time, twice, until `stop` is set."""

    def __init__(
        self, target: Target, *, block_rows: int, stop: asyncio.Event, within: KeyRange = ALL_KEYS
    ) -> None:
        self._target = target
        self._stop = stop
        self._within = within
        self._block_rows = block_rows
        self._turn = asyncio.Lock()
        self._passes_left = PASSES
        self._rest = within
        self._given_up: set[str] = set()

    @asynccontextmanager
    async def block(self, connection: Connection) -> AsyncIterator[list[Row]]:
        """The next rows, this connection's own until the block ends.

        There are none when all were given, or `stop` is set. What is written within is committed
        with the end of the block, and undone by an error.
        """
        async with AsyncExitStack() as stack:
            async with self._turn:
                await stack.enter_async_context(working(connection))
                rows = await self._next(connection)
            yield rows

    def give_up(self, ids: Iterable[Any]) -> None:
        """Do not give these again: they cannot be embedded."""
        self._given_up.update(map(repr, ids))  # NaN is a key, and does not equal itself

    async def _next(self, connection: Connection) -> list[Row]:
        while self._passes_left:
            found = await unless_stopped(self._stop, self._fetch(connection))
            if found is None:
                return []
            if not found:
                self._passes_left -= 1
                self._rest = self._within
                continue
            self._rest = replace(self._rest, after=found[-1].key)
            if rows := [row for row in found if repr(row.id) not in self._given_up]:
                return rows
        return []

    async def _fetch(self, connection: Connection) -> list[Row]:
        target, parameters = self._target, Parameters()
        conditions = [
            *target.pending(parameters),
            *self._rest.conditions(target.key, parameters),
        ]
        key = ", ".join(f"t.{column.sql}" for column in target.key)
        records = await scan(
            connection,
            f"SELECT {key}, {target.source_sql} FROM {target.table.sql} AS t "
            f"WHERE {' AND '.join(conditions)} "
            f"ORDER BY {key} LIMIT {self._block_rows} FOR NO KEY UPDATE SKIP LOCKED",
            parameters,
        )
        return [Row(key=tuple(values), source=source) for *values, source in records]
