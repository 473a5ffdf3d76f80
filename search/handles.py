"""Any database handle a caller may have -> one asyncpg connection.

SQLAlchemy is never imported here: a caller that passes one of its handles has done so.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from vla_embeddings.errors import InvalidInput
from vla_embeddings.search.database import Database
from vla_embeddings.search.faults import as_embedding_error
from vla_embeddings.search.finishing import finished

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

Connection: TypeAlias = asyncpg.Connection | PoolConnectionProxy
Handle: TypeAlias = (
    "Database | asyncpg.Pool | Connection | AsyncEngine | AsyncConnection | AsyncSession"
)

# Seconds to wait for a free pooled connection; asyncpg itself would wait for ever.
ACQUIRE_SECONDS = 10.0

# Seconds for the server to confirm that a cancelled statement has ended, which a halted one never
# does. The connection is closed then: a pool opens another at once, a caller's own may be the only
# one.
RELEASE_SECONDS = 1.0
ANSWER_SECONDS = 5.0

_CONNECTIONS = (PoolConnectionProxy, asyncpg.Connection)


def connected(db: Handle, *, writing: bool = False) -> AbstractAsyncContextManager[Connection]:
    """An asyncpg connection from `db`; faults of the database become errors of our tree.

    Where the caller has a transaction open, the connection is in it. A SQLAlchemy session or
    connection has one from its first statement on; with `writing`, it is opened now, so that
    the caller's commit or rollback decides about what is written.

    Raises:
        InvalidInput: `db` is no handle this library knows.
        DatabaseUnavailable: no connection within `ACQUIRE_SECONDS`, or it was lost.
    """
    return _Joined(db) if isinstance(db, _CONNECTIONS) else _borrowed(db, writing)


def opens_connections(db: Handle) -> bool:
    """Whether `db` can give a second connection beside the first."""
    alchemy = _alchemy()
    return isinstance(db, Database | asyncpg.Pool) or (
        alchemy is not None and isinstance(db, alchemy.AsyncEngine)
    )


def has_free_connection(db: Handle) -> bool:
    """Whether `db` is a pool that can give a connection at once."""
    pool = db.pool if isinstance(db, Database) else db
    if not isinstance(pool, asyncpg.Pool):
        return False
    return pool.get_size() - pool.get_idle_size() < pool.get_max_size()


async def keeps_session(connection: Connection) -> bool:
    """Whether all statements surely go to one session, as without a pooler in between.

    PgBouncer and its like give the client a process id of their own. In transaction mode a lock
    would stay behind in a session that nobody finds again.
    """
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    return pid == connection.get_server_pid()


async def _answers(connection: Connection) -> bool:
    """Whether a connection can be put in order after a fault; a silent server's is closed."""
    try:
        await connection.execute("SELECT 1", timeout=ANSWER_SECONDS)
    except (asyncpg.InFailedSQLTransactionError, asyncpg.QueryCanceledError):
        return True
    except TimeoutError:
        with suppress(asyncpg.InterfaceError):  # it is closed, and was given back to its pool
            connection.terminate()
        return False
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):  # it is closed, or in use
        return False
    return True


async def tidied(connection: Connection, work: Callable[[], Awaitable[object]]) -> None:
    """Do `work`, even when cancelled meanwhile, unless the server does not answer any more."""

    async def tidy() -> None:
        if await _answers(connection):
            await work()

    await finished(tidy())


def atomic(connection: Connection) -> AbstractAsyncContextManager[object]:
    """All that is done inside or nothing, in the caller's transaction where one is open.

    asyncpg's own nested transactions would refuse one that the caller began by `BEGIN`.
    """
    if connection.is_in_transaction():
        return savepoint(connection, keep=True)
    return _transaction(connection)


@asynccontextmanager
async def _transaction(connection: Connection) -> AsyncIterator[None]:
    """As asyncpg's own, which waits for ever to roll back on a halted server."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    except BaseException:
        if await _answers(connection):
            await transaction.rollback()
        raise
    await transaction.commit()


@asynccontextmanager
async def savepoint(connection: Connection, *, keep: bool) -> AsyncIterator[None]:
    """What is done inside ends here, or stays with `keep`; a fault inside undoes nothing else."""
    await connection.execute("SAVEPOINT vla_embeddings")
    release = "RELEASE SAVEPOINT vla_embeddings"
    undo = f"ROLLBACK TO SAVEPOINT vla_embeddings; {release}"
    try:
        yield
    except BaseException:
        await tidied(connection, lambda: connection.execute(undo))
        raise
    await finished(connection.execute(release if keep else undo))


class _Joined(AbstractAsyncContextManager[Connection, None]):
    """A connection of the caller's; a generator in its place would cost a search 15 µs more."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def __aenter__(self) -> Connection:
        return self._connection

    async def __aexit__(
        self, kind: object, error: BaseException | None, traceback: object
    ) -> None:
        if isinstance(error, Exception):
            _raise_ours(error, address=None)


@asynccontextmanager
async def _borrowed(db: Handle, writing: bool) -> AsyncIterator[Connection]:
    try:
        if isinstance(db, Database | asyncpg.Pool):
            pool = db.pool if isinstance(db, Database) else db
            async with asyncio.timeout(ACQUIRE_SECONDS):
                connection = await pool.acquire()
            try:
                yield connection
            except BaseException:
                with suppress(TimeoutError):  # what happened inside stays what the caller sees
                    await pool.release(connection, timeout=RELEASE_SECONDS)
                raise
            await pool.release(connection)
        else:
            async with _alchemy_connection(db, writing) as driver:
                yield driver
    except Exception as error:
        _raise_ours(error, address=_address(db))
        raise


def _raise_ours(error: Exception, *, address: str | None) -> None:
    """Raise what a caller should see in place of `error`, if it is the database's."""
    ours = as_embedding_error(error, address=address)
    if ours is not None:
        raise ours from error


@asynccontextmanager
async def _alchemy_connection(db: Any, writing: bool) -> AsyncIterator[Connection]:
    alchemy = _alchemy()
    if alchemy is not None and isinstance(db, alchemy.AsyncEngine):
        async with asyncio.timeout(ACQUIRE_SECONDS):
            borrowed = await db.connect()
        try:
            yield await _driver_connection(borrowed, writing=False)
        finally:
            await borrowed.close()
    elif alchemy is not None and isinstance(db, alchemy.AsyncConnection):
        yield await _driver_connection(db, writing)
    elif alchemy is not None and isinstance(db, alchemy.AsyncSession):
        async with asyncio.timeout(ACQUIRE_SECONDS):
            borrowed = await db.connection()
        yield await _driver_connection(borrowed, writing)
    else:
        raise InvalidInput(
            "db must be a vla_embeddings.search.Database, an asyncpg Pool or Connection, or a "
            "SQLAlchemy AsyncEngine, AsyncConnection or AsyncSession; "
            f"got {type(db).__module__}.{type(db).__qualname__}."
        )


async def _driver_connection(connection: "AsyncConnection", writing: bool) -> Connection:
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, asyncpg.Connection):
        raise InvalidInput(
            f"The SQLAlchemy engine must use asyncpg (postgresql+asyncpg://...); this one uses "
            f"{connection.dialect.name}+{connection.dialect.driver}."
        )
    if writing and not driver.is_in_transaction():
        # SQLAlchemy sends BEGIN with its first statement, and ours go past it to the driver.
        await connection.exec_driver_sql("SELECT 1")
    return driver


def _alchemy() -> Any:
    return sys.modules.get("sqlalchemy.ext.asyncio")


def _address(db: Handle) -> str | None:
    """Where `db` leads, without the password; None where the handle does not say."""
    if isinstance(db, Database):
        return db.address
    url = getattr(getattr(db, "engine", db), "url", None)
    return url.render_as_string(hide_password=True) if url is not None else None
