"""Building one index: one builder at a time, with settings of its own, leaving nothing broken."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg

from vla_embeddings.errors import SearchError
from vla_embeddings.search.catalog import Table, VectorIndex, quoted, vector_indexes
from vla_embeddings.search.definition import IndexDefinition
from vla_embeddings.search.finishing import finished
from vla_embeddings.search.handles import (
    Connection,
    Handle,
    connected,
    keeps_session,
    savepoint,
    tidied,
)

logger = logging.getLogger(__name__)

# A build, and counting before it, may take days, whatever time the pool or the server allows.
BUILD_SECONDS = 7 * 86_400.0
UNHURRIED = {"statement_timeout": "0"}
# A concurrent build or drop waits for others' transactions, and holds up nobody meanwhile.
CONCURRENT = {**UNHURRIED, "lock_timeout": "0"}
# Whoever ended a build waits for its leftover to be removed.
TIDYING = "5s"

POLL_SECONDS = 0.2

_LOCK_SPACE = 0x766C61 << 32  # "vla"; the table's oid fills the lower half

_PROGRESS = """
SELECT phase,
       CASE WHEN tuples_total > 0 THEN tuples_done ELSE blocks_done END AS done,
       CASE WHEN tuples_total > 0 THEN tuples_total ELSE blocks_total END AS total
FROM pg_catalog.pg_stat_progress_create_index
WHERE datname = pg_catalog.current_database()
  AND (relid = $1 OR relid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree($1) p))
"""


@dataclass(frozen=True)
class BuildProgress:
    """How far a build is: `done` of `total` rows or blocks of its present phase."""

    phase: str
    done: int
    total: int


@asynccontextmanager
async def sole_builder(connection: Connection, table: Table) -> AsyncIterator[None]:
    """Wait until nobody else in this library builds on `table`, and keep others waiting.

    The lock is asked for again and again: to wait within a statement would hold a snapshot that
    a concurrent build in turn waits for. In the caller's transaction it is held to its end, for
    only then can others see the index.

    Raises:
        SearchError: outside a transaction, the lock might stay behind; see `keeps_session`.
    """
    key = _LOCK_SPACE | table.oid
    if connection.is_in_transaction():
        await _until(connection, "SELECT pg_try_advisory_xact_lock($1)", key)
        yield
        return
    if not await keeps_session(connection):
        raise SearchError(
            "A concurrent build needs one session for its lock and its memory, and a pooler such "
            "as PgBouncer may give it several. Connect to PostgreSQL itself, or pass "
            "concurrently=False, which makes writers wait."
        )
    try:
        await _until(connection, "SELECT pg_try_advisory_lock($1)", key)
        yield
    finally:
        await tidied(connection, lambda: connection.execute("SELECT pg_advisory_unlock($1)", key))


async def build(
    connection: Connection,
    definition: IndexDefinition,
    *,
    concurrently: bool,
    settings: dict[str, str],
) -> None:
    """Create the index under `settings`; where that goes wrong, the invalid index is removed.

    A connection that is lost leaves it, and so does another's transaction that the removal would
    have to wait for longer than `TIDYING`; the next build removes it.
    """
    name = await _free_name(connection, definition)
    statement = definition.create_statement(concurrently=concurrently, name=name)
    async with applied(connection, settings):
        try:
            await connection.execute(statement, timeout=BUILD_SECONDS)
        except BaseException:
            if concurrently:
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await tidied(connection, lambda: _remove(connection, definition))
            raise


async def _remove(connection: Connection, definition: IndexDefinition) -> None:
    async with applied(connection, {"lock_timeout": TIDYING}):
        await drop_invalid(connection, definition)


async def _free_name(connection: Connection, definition: IndexDefinition) -> str:
    """The name for a new index; another table's may be called so already."""
    taken = await connection.fetchval(
        "SELECT pg_catalog.to_regclass($1) IS NOT NULL",
        f"{quoted(definition.table.schema)}.{quoted(definition.name)}",
    )
    return definition.hashed_name if taken else definition.name


async def drop_invalid(connection: Connection, definition: IndexDefinition) -> None:
    """Remove the leftover of a build that did not end, if there is one."""
    for index in await vector_indexes(connection, definition.table.oid):
        if definition.rivals(index) and index.state == "invalid":
            logger.warning("Removing the invalid index %s of a build that broke off", index.name)
            await drop(connection, index, concurrently=None)


async def drop(connection: Connection, index: VectorIndex, *, concurrently: bool | None) -> None:
    """Drop one index; None is concurrently where that can be."""
    if concurrently is None:
        concurrently = not (index.partitioned or connection.is_in_transaction())
    await connection.execute(
        f"DROP INDEX {'CONCURRENTLY ' if concurrently else ''}"
        f"{quoted(index.schema)}.{quoted(index.name)}",
        timeout=BUILD_SECONDS,
    )


@asynccontextmanager
async def reporting(
    db: Handle, table: Table, progress: Callable[[BuildProgress], None] | None
) -> AsyncIterator[None]:
    """Call `progress` a few times a second, from a second connection of `db`."""
    if progress is None:
        yield
        return
    task = asyncio.create_task(_report(db, table, progress))
    try:
        yield
    finally:
        task.cancel()
        for fault in await asyncio.gather(task, return_exceptions=True):
            if isinstance(fault, Exception):
                logger.warning("No more progress is reported: %s", fault)


async def _report(db: Handle, table: Table, progress: Callable[[BuildProgress], None]) -> None:
    async with connected(db) as connection:
        while True:
            row = await connection.fetchrow(_PROGRESS, table.oid)
            if row is not None and row["total"]:
                progress(BuildProgress(row["phase"], row["done"], row["total"]))
            await asyncio.sleep(POLL_SECONDS)


async def _until(connection: Connection, question: str, key: int) -> None:
    # No event of ours could tell: the other builder may be in another process.
    while not await finished(connection.fetchval(question, key)):  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def applied(connection: Connection, settings: dict[str, str]) -> AsyncIterator[None]:
    """Session settings, as before afterwards; in the caller's transaction within a savepoint."""
    if connection.is_in_transaction():
        async with savepoint(connection, keep=True):
            before = await _current(connection, list(settings))
            await _set(connection, settings, local=True)
            yield
            await _set(connection, before, local=True)
        return
    before = await _current(connection, list(settings))
    try:
        await _set(connection, settings, local=False)
        yield
    finally:
        await tidied(connection, lambda: _set(connection, before, local=False))


async def _current(connection: Connection, names: list[str]) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS given(name)", names
    )
    return {row["name"]: row["value"] for row in rows}


async def _set(connection: Connection, settings: dict[str, str], *, local: bool) -> None:
    await connection.execute(
        "SELECT set_config(name, value, $3) "
        "FROM unnest($1::text[], $2::text[]) AS given(name, value)",
        list(settings),
        list(settings.values()),
        local,
    )
