"""A server that accepts and answers nothing holds up no caller who has a timeout."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.outage import Proxy
from tests.search.conftest import TABLE, Vectors
from tests.search.test_faults import JOBS
from vla_embeddings.search import Database
from vla_embeddings.search.handles import Handle

HANGS_SECONDS = 20


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent server is waited for less long."""
    monkeypatch.setattr("vla_embeddings.search.handles.ANSWER_SECONDS", 0.5)


@pytest.fixture
async def fragile(proxy: Proxy) -> AsyncIterator[Database]:
    """A pool of one connection through `proxy`, open and free."""
    async with await Database.connect(proxy.dsn, min_size=0, max_size=1) as database:
        await database.pool.execute("SELECT 1")
        yield database
        await proxy.open()


async def test_a_callers_timeout_ends_a_search_and_frees_its_place_in_the_pool(
    proxy: Proxy, fragile: Database, filled: Vectors
) -> None:
    async def search() -> None:
        async with asyncio.timeout(0.3):
            await JOBS["search"](fragile)

    proxy.halt()
    call = asyncio.create_task(search())
    await asyncio.wait((call,), timeout=HANGS_SECONDS)

    await proxy.open()
    assert call.done()
    assert isinstance(call.exception(), TimeoutError)
    assert fragile.pool.get_size() == 0
    await JOBS["search"](fragile)


async def _cancelled_while_halted(proxy: Proxy, db: Database, handle: Handle, work: str) -> bool:
    """Whether a call ends that is cancelled under way, waiting for a lock."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass"
    async with db.pool.acquire() as holder:
        await holder.execute(f"BEGIN; LOCK TABLE {TABLE}")
        call = asyncio.ensure_future(JOBS[work](handle))
        # Nothing announces that the call waits for the lock: the server has to be asked.
        while not await db.pool.fetchval(waiting, TABLE):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

        proxy.halt()
        call.cancel()
        await asyncio.wait((call,), timeout=HANGS_SECONDS)
        ended = call.cancelled()

        await proxy.open()
        await holder.execute("ROLLBACK")
    return ended


@pytest.mark.parametrize("work", ["search", "index_embedding", "batch", "insert", "create"])
async def test_a_call_that_is_under_way_can_be_cancelled(
    proxy: Proxy, fragile: Database, db: Database, filled: Vectors, work: str
) -> None:
    assert await _cancelled_while_halted(proxy, db, fragile, work)
    assert fragile.pool.get_size() == 0
    await JOBS[work](fragile)


async def test_a_search_in_the_callers_transaction_ends_with_its_connection(
    proxy: Proxy, db: Database, filled: Vectors
) -> None:
    """Nobody could tell what became of the transaction."""
    connection = await asyncpg.connect(proxy.dsn)
    await connection.execute("BEGIN")

    assert await _cancelled_while_halted(proxy, db, connection, "search")
    assert connection.is_closed()
