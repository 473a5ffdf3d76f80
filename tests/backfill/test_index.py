"""What becomes of the column's index."""

import asyncio

import numpy as np
import pytest

from tests.backfill.conftest import COLUMN, NAMES, TABLE, Fill, after_a_block
from tests.backfill.recorded import RecordedService
from vla_embeddings.backfill import backfill
from vla_embeddings.errors import InvalidInput
from vla_embeddings.search import (
    Database,
    batch_index_embeddings,
    create_hnsw_index,
    create_ivfflat_index,
    list_indexes,
)


async def _index_oids(db: Database) -> list[int]:
    return [
        await db.pool.fetchval("SELECT $1::regclass::oid", index.name)
        for index in await list_indexes(db, TABLE)
    ]


async def _fill_all_but(db: Database, fill: Fill, *, rows: int, without: int) -> None:
    await fill(rows)
    items = [{"id": n, "embedding": np.eye(384)[n % 384]} for n in range(without + 1, rows + 1)]
    await batch_index_embeddings(db, TABLE, "id", COLUMN, items)


async def test_an_index_stays_where_few_rows_change(db: Database, fill: Fill) -> None:
    await _fill_all_but(db, fill, rows=200, without=20)
    await create_hnsw_index(db, TABLE, COLUMN)
    before = await _index_oids(db)

    report = await backfill(db, RecordedService([]), **NAMES)

    assert (report.plan.index, report.index) == ("leave", None)
    assert await _index_oids(db) == before


async def test_an_index_is_dropped_and_rebuilt_where_many_rows_change(
    db: Database, fill: Fill
) -> None:
    await _fill_all_but(db, fill, rows=200, without=21)
    index = await create_hnsw_index(db, TABLE, COLUMN)
    before = await _index_oids(db)
    service = RecordedService([])
    service.go_on.clear()

    run = asyncio.create_task(backfill(db, service, **NAMES))
    await service.started.wait()
    during = await _index_oids(db)
    service.go_on.set()
    report = await run

    assert (report.plan.index, report.index) == ("rebuild", index.name)
    assert during == []
    after = await _index_oids(db)
    assert len(after) == 1
    assert after != before


async def test_an_index_that_cannot_be_built_is_said_before_rows_are_embedded(
    db: Database, fill: Fill
) -> None:
    await fill(5)
    await db.pool.execute(f"ALTER TABLE {TABLE} ALTER COLUMN {COLUMN} TYPE vector")
    record: list[str] = []

    with pytest.raises(InvalidInput, match=r"needs a declared dimension.*--no-index"):
        await backfill(db, RecordedService(record), **NAMES)

    assert record == []
    assert (await backfill(db, RecordedService(record), **NAMES, index=False)).embedded == 5


async def test_a_pool_of_one_connection_is_enough_for_a_rebuild(
    db: Database, dsn: str, fill: Fill
) -> None:
    await _fill_all_but(db, fill, rows=200, without=100)
    index = await create_hnsw_index(db, TABLE, COLUMN)

    async with await Database.connect(dsn, max_size=1) as small:
        report = await backfill(small, RecordedService([]), **NAMES)

    assert (report.plan.index, report.embedded, report.index) == ("rebuild", 100, index.name)


async def test_a_run_stopped_after_the_drop_has_its_index_rebuilt_by_the_next(
    db: Database, fill: Fill
) -> None:
    await _fill_all_but(db, fill, rows=1000, without=900)
    await create_hnsw_index(db, TABLE, COLUMN)
    stop = asyncio.Event()

    await backfill(
        db,
        RecordedService([]),
        **NAMES,
        stop=stop,
        progress=after_a_block(stop),
    )

    assert await list_indexes(db, TABLE) == []
    assert (await backfill(db, RecordedService([]), **NAMES)).plan.index == "create"
    assert [index.state for index in await list_indexes(db, TABLE)] == ["valid"]


async def test_rows_that_come_in_behind_a_run_do_not_keep_its_index_away(
    db: Database, fill: Fill
) -> None:
    await _fill_all_but(db, fill, rows=1000, without=900)
    index = await create_hnsw_index(db, TABLE, COLUMN)
    await db.pool.execute(
        f"CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "
        f"INSERT INTO {TABLE} (instruction) SELECT ''put it down'' "
        f"WHERE (SELECT count(*) FROM {TABLE}) < 1050; RETURN NULL; END';"
        f"CREATE TRIGGER follow AFTER UPDATE ON {TABLE} EXECUTE FUNCTION follow()"
    )

    report = await backfill(db, RecordedService([]), **NAMES)

    assert report.left > 0
    assert report.index == index.name
    assert [index.state for index in await list_indexes(db, TABLE)] == ["valid"]


async def test_while_another_worker_holds_rows_the_index_is_left_to_it(
    db: Database, fill: Fill
) -> None:
    await _fill_all_but(db, fill, rows=200, without=100)
    async with db.pool.acquire() as other, other.transaction():
        await other.execute(f"SELECT FROM {TABLE} WHERE id = 1 FOR UPDATE")

        report = await backfill(db, RecordedService([]), **NAMES)

    assert (report.left, report.plan.index, report.index) == (1, "create", None)


@pytest.mark.parametrize("method", ["hnsw", "ivfflat"])
async def test_an_index_of_another_definition_is_never_dropped(
    db: Database, fill: Fill, method: str
) -> None:
    """A run that broke off could not tell the next one what it was."""
    await fill(100)
    if method == "hnsw":
        await create_hnsw_index(db, TABLE, COLUMN, m=8, half=True)
    else:
        await create_ivfflat_index(db, TABLE, COLUMN, 3)
    before = await _index_oids(db)

    report = await backfill(db, RecordedService([]), **NAMES)

    assert report.plan.index == "leave"
    assert await _index_oids(db) == before


async def test_indexes_are_none_of_its_business_where_it_is_told_so(
    db: Database, fill: Fill
) -> None:
    await fill(10)

    report = await backfill(db, RecordedService([]), **NAMES, index=False)

    assert (report.plan.index, report.index) == ("leave", None)
    assert await list_indexes(db, TABLE) == []


async def test_an_index_over_another_column_does_not_count(db: Database, fill: Fill) -> None:
    await fill(10)
    await db.pool.execute(f"ALTER TABLE {TABLE} ADD COLUMN other vector(384)")
    await create_hnsw_index(db, TABLE, "other")

    await backfill(db, RecordedService([]), **NAMES)

    assert {index.column for index in await list_indexes(db, TABLE)} == {"other", COLUMN}
