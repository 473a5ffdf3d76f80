"""Runs that end too early, and runs beside each other."""

import asyncio
import contextlib
import random
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.backfill.conftest import NAMES, TABLE, Fill, count_writes, expect_all
from tests.backfill.recorded import RecordedService
from vla_embeddings.backfill import backfill
from vla_embeddings.backfill.engine import BLOCK_ROWS
from vla_embeddings.errors import DatabaseUnavailable
from vla_embeddings.search import Database, list_indexes

IN_FLIGHT = 3 * BLOCK_ROWS["text"]
ROOT = Path(__file__).parents[2]


async def _worker(dsn: str, record: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.backfill.recorded", dsn, str(record)), cwd=ROOT
    )


@pytest.mark.timeout(600)
async def test_a_run_killed_at_random_is_gone_on_with_and_nothing_is_done_twice(
    db: Database, dsn: str, fill: Fill, tmp_path: Path
) -> None:
    """But for the rows in flight at each kill: those are embedded again, and written once."""
    instructions = await fill(10_000)
    await count_writes(db)
    record, generator, kills = tmp_path / "record", random.Random(0), 6
    for _ in range(kills):
        goal = await db.pool.fetchval("SELECT count(*) FROM writes") + generator.randrange(600)
        worker = await _worker(dsn, record)
        # Another process writes: there is no event to wait for.
        while (  # noqa: ASYNC110
            await db.pool.fetchval("SELECT count(*) FROM writes") <= goal
            and worker.returncode is None
        ):
            await asyncio.sleep(generator.random() / 50)
        with contextlib.suppress(ProcessLookupError):  # it may have done all rows
            worker.kill()
        await worker.wait()
    last = await _worker(dsn, record)
    assert await last.wait() == 0

    await expect_all(db, instructions)
    embedded = record.read_text().splitlines()
    assert set(embedded) == set(instructions)
    assert len(embedded) <= len(instructions) + kills * IN_FLIGHT
    assert [index.state for index in await list_indexes(db, TABLE)] == ["valid"]


async def test_workers_beside_each_other_share_the_rows_without_overlap(
    db: Database, dsn: str, fill: Fill
) -> None:
    instructions = await fill(6000)
    await count_writes(db)
    async with await Database.connect(dsn) as other:
        records: tuple[list[str], list[str]] = ([], [])
        services = [RecordedService(record) for record in records]
        for service in services:
            service.go_on.clear()
        runs = asyncio.gather(
            *(
                backfill(handle, service, **NAMES)
                for handle, service in zip((db, other), services, strict=True)
            )
        )
        while min(map(len, records)) <= 1000 and not runs.done():  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.01)
        for service in services:
            service.go_on.set()
        reports = await runs

    await expect_all(db, instructions)
    assert sorted(records[0] + records[1]) == sorted(instructions)
    assert [report.embedded for report in reports] == [len(record) for record in records]
    assert all(report.embedded > 1000 for report in reports)
    assert [index.state for index in await list_indexes(db, TABLE)] == ["valid"]


async def test_rows_that_another_worker_lets_go_are_taken_in_the_second_pass(
    db: Database, fill: Fill
) -> None:
    await fill(2000)  # more than a run takes at once: its first pass goes on after the rollback
    async with db.pool.acquire() as connection:
        other = connection.transaction()
        await other.start()
        await connection.execute(f"SELECT FROM {TABLE} WHERE id <= 10 FOR NO KEY UPDATE")
        service = RecordedService([])
        service.go_on.clear()
        run = asyncio.create_task(backfill(db, service, **NAMES))
        await service.started.wait()
        await other.rollback()
        service.go_on.set()
        report = await run

    assert (report.embedded, report.left) == (2000, 0)


async def test_rows_in_others_hands_are_left_and_the_index_with_them(
    db: Database, fill: Fill
) -> None:
    await fill(20)
    async with db.pool.acquire() as connection, connection.transaction():
        await connection.execute(f"SELECT FROM {TABLE} WHERE id <= 5 FOR NO KEY UPDATE")
        report = await backfill(db, RecordedService([]), **NAMES)

    assert (report.embedded, report.left, report.index) == (15, 5, None)
    assert (await backfill(db, RecordedService([]), **NAMES)).index is not None


async def test_a_leased_row_cannot_change_but_others_may_refer_to_it(
    db: Database, fill: Fill
) -> None:
    """So the vector is that of the text, and inserts of the platform do not wait."""
    await fill(1)
    await db.pool.execute(f"CREATE TABLE notes (of bigint REFERENCES {TABLE})")
    service = RecordedService([])
    service.go_on.clear()
    run = asyncio.create_task(backfill(db, service, **NAMES))
    await service.started.wait()
    await db.pool.execute("INSERT INTO notes VALUES (1)")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await db.pool.execute(f"SELECT FROM {TABLE} WHERE id = 1 FOR NO KEY UPDATE NOWAIT")
    service.go_on.set()

    assert (await run).embedded == 1


async def test_a_database_that_goes_away_is_said_and_the_next_run_goes_on(
    db: Database, dsn: str, fill: Fill
) -> None:
    instructions = await fill(3000)
    await count_writes(db)
    killer = await asyncpg.connect(dsn)
    for _ in range(3):
        service = RecordedService([])
        service.go_on.clear()
        run = asyncio.create_task(backfill(db, service, **NAMES))
        await service.started.wait()
        await killer.execute(
            "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
            "WHERE application_name = 'vla-embeddings' AND datname = current_database()"
        )
        service.go_on.set()
        with pytest.raises(DatabaseUnavailable):
            await run
    await killer.close()

    assert (await backfill(db, RecordedService([]), **NAMES)).left == 0
    await expect_all(db, instructions)


async def test_a_cancelled_run_leaves_no_lock_behind(db: Database, fill: Fill) -> None:
    await fill(1000)
    service = RecordedService([])
    service.go_on.clear()
    run = asyncio.create_task(backfill(db, service, **NAMES))
    await service.started.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    assert (await backfill(db, RecordedService([]), **NAMES)).left == 0
