"""Making the tables holds up nobody for longer than it must."""

import asyncio

import asyncpg
import pytest

from tests.search.conftest import TABLE
from vla_embeddings.errors import SearchError
from vla_embeddings.search import Database, create_schema

COLUMNS = (
    "SELECT count(*) FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'robot_type'"
)
INDEX = "context_metadata_customer_id_idx"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is waited for less long."""
    monkeypatch.setattr("vla_embeddings.search.schema.LOCK_TIMEOUT", "200ms", raising=False)


async def test_where_nothing_is_lacking_no_lock_is_asked_for(db: Database) -> None:
    async with db.pool.acquire() as holder, holder.transaction():
        await holder.execute(f"LOCK TABLE {TABLE}, context_metadata")
        async with asyncio.timeout(20):
            await create_schema(db)


async def test_a_role_that_may_create_nothing_can_ask_where_nothing_is_lacking(
    db: Database,
) -> None:
    async with db.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL ROLE pg_monitor")
        await create_schema(connection)


async def test_a_reader_who_holds_the_table_is_an_error_and_nobody_waits_behind_it(
    db: Database, impatient: None
) -> None:
    await db.pool.execute(f"ALTER TABLE {TABLE} DROP COLUMN robot_type")
    async with db.pool.acquire() as reader, reader.transaction():
        await reader.execute(f"SELECT FROM {TABLE}")
        async with asyncio.timeout(20):
            with pytest.raises(SearchError, match=r"held for 200ms.*run `vla-embeddings db init`"):
                await create_schema(db)
            assert await db.pool.fetchval(f"SELECT count(*) FROM {TABLE}") == 0

    await create_schema(db)
    assert await db.pool.fetchval(COLUMNS, TABLE) == 1


async def test_a_table_is_free_again_before_the_next_statement_waits(
    db: Database, impatient: None
) -> None:
    await db.pool.execute(f"ALTER TABLE {TABLE} DROP COLUMN robot_type; DROP INDEX {INDEX}")
    async with db.pool.acquire() as writer, writer.transaction():
        await writer.execute("INSERT INTO context_metadata DEFAULT VALUES")
        async with asyncio.timeout(20):
            with pytest.raises(SearchError, match=f"To create {INDEX}"):
                await create_schema(db)
    assert await db.pool.fetchval(COLUMNS, TABLE) == 1

    await create_schema(db)
    assert await db.pool.fetchval("SELECT to_regclass($1) IS NOT NULL", INDEX)


async def test_the_callers_transaction_keeps_its_own_lock_timeout(db: Database) -> None:
    await db.pool.execute(f"ALTER TABLE {TABLE} DROP COLUMN robot_type")
    async with db.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SET LOCAL lock_timeout = '7s'")
        await create_schema(connection)
        assert await connection.fetchval("SHOW lock_timeout") == "7s"
        assert await connection.fetchval(COLUMNS, TABLE) == 1
        await transaction.rollback()

    assert await db.pool.fetchval(COLUMNS, TABLE) == 0


async def test_workers_that_start_together_make_the_tables_once(db: Database) -> None:
    await db.pool.execute(f"DROP TABLE {TABLE}, context_metadata; DROP EXTENSION vector")

    await asyncio.gather(*(create_schema(db) for _ in range(4)))

    assert await db.pool.fetchval(COLUMNS, TABLE) == 1


@pytest.mark.parametrize("path", ["tenant, public", "tenant", '"$user", tenant'])
async def test_a_tenants_schema_gets_tables_of_its_own(db: Database, dsn: str, path: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"CREATE SCHEMA tenant; SET search_path = {path}")
    for _ in range(2):
        await create_schema(connection)

    assert await connection.fetchval(COLUMNS, f"tenant.{TABLE}") == 1
    assert await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f"tenant.{INDEX}")
    assert await connection.fetchval("SHOW search_path") == path
    await connection.close()
