"""Rows are drawn at random, and a large table is not read for a few of them."""

import pytest

from tests.backfill.conftest import COLUMN, TABLE
from vla_embeddings.backfill.target import Target, find_target
from vla_embeddings.compare.sample import random_keys
from vla_embeddings.search import Database
from vla_embeddings.search.filters import Filters
from vla_embeddings.search.handles import Connection

ROWS = 10_000
PAGES = ROWS // 5  # five vectors of 384 numbers to a page


async def _large(db: Database) -> None:
    await db.pool.execute(
        f"INSERT INTO {TABLE} (customer_id, {COLUMN}) "
        "SELECT 'c' || n % 100, array_fill(1::real, ARRAY[384])::vector "
        f"FROM generate_series(1, {ROWS}) AS n"
    )


async def _target(connection: Connection, table: str, filters: Filters | None = None) -> Target:
    return await find_target(
        connection, table, "instruction", COLUMN, kind="text", filters=filters
    )


async def _pages_read(connection: Connection) -> int:
    count: int = await connection.fetchval(
        "SELECT pg_stat_get_xact_blocks_fetched($1::regclass)", TABLE
    )
    return count


async def test_a_few_rows_of_a_large_table_cost_a_few_pages(db: Database) -> None:
    await _large(db)
    async with db.pool.acquire() as connection, connection.transaction():
        target = await _target(connection, TABLE)
        before = await _pages_read(connection)
        keys = await random_keys(connection, target, 100)
        read = await _pages_read(connection) - before

    assert len(set(keys)) == 100
    assert 0 < read < PAGES / 4
    quarters = {key * 4 // (ROWS + 1) for (key,) in keys}
    assert quarters == {0, 1, 2, 3}


@pytest.mark.parametrize("filters", [None, {"customer_id": "c7"}], ids=["few vectors", "filter"])
async def test_rows_that_are_rare_are_found_in_the_end(
    db: Database, filters: Filters | None
) -> None:
    await _large(db)
    if filters is None:
        await db.pool.execute(f"UPDATE {TABLE} SET {COLUMN} = NULL WHERE id % 100 <> 7")
    async with db.pool.acquire() as connection:
        target = await _target(connection, TABLE, filters)
        enough = await random_keys(connection, target, 60)
        all_there_are = await random_keys(connection, target, 5000)

    assert len(set(enough)) == 60
    assert {key for (key,) in all_there_are} == set(range(7, ROWS, 100))


async def test_every_partition_is_drawn_from(db: Database) -> None:
    await db.pool.execute(
        f"CREATE TABLE parts (id int PRIMARY KEY, instruction text, {COLUMN} vector(384)) "
        "PARTITION BY HASH (id); "
        "CREATE TABLE p0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE p1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "INSERT INTO parts SELECT n, 'go', array_fill(1::real, ARRAY[384])::vector "
        "FROM generate_series(1, 4000) AS n"
    )
    async with db.pool.acquire() as connection:
        keys = await random_keys(connection, await _target(connection, "parts"), 100)
        homes = await connection.fetch(
            "SELECT DISTINCT tableoid::regclass::text AS part FROM parts WHERE id = ANY ($1)",
            [key for (key,) in keys],
        )

    assert {home["part"] for home in homes} == {"p0", "p1"}
