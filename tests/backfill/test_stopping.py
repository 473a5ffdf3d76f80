"""A stop ends a run at any of its steps, and what it broke off leaves nothing half done."""

import asyncio

import asyncpg
import pytest

from tests.backfill.conftest import NAMES, TABLE, Fill, someone_waits, stored
from tests.backfill.recorded import RecordedService
from vla_embeddings.backfill import backfill
from vla_embeddings.backfill.stopping import unless_stopped
from vla_embeddings.search import Database, list_indexes


@pytest.mark.parametrize(
    ("mode", "recorded", "pending", "embedded"),
    [
        pytest.param("ACCESS EXCLUSIVE", True, 0, 0, id="counting"),
        pytest.param("SHARE UPDATE EXCLUSIVE", False, 20, 0, id="claiming the column"),
        pytest.param("EXCLUSIVE", True, 20, 0, id="leasing rows"),
        pytest.param("SHARE UPDATE EXCLUSIVE", True, 20, 20, id="building the index"),
    ],
)
async def test_a_stop_ends_what_waits_for_a_lock(
    db: Database, dsn: str, fill: Fill, mode: str, recorded: bool, pending: int, embedded: int
) -> None:
    if recorded:
        await backfill(db, RecordedService([]), **NAMES)
    await fill(20)
    stop = asyncio.Event()

    other = await asyncpg.connect(dsn)
    async with other.transaction():
        await other.execute(f"LOCK TABLE {TABLE} IN {mode} MODE")
        run = asyncio.create_task(backfill(db, RecordedService([]), **NAMES, stop=stop))
        await someone_waits(other)
        stop.set()
        async with asyncio.timeout(20):
            report = await run
    await other.close()

    assert report.stopped
    assert (report.plan.pending, report.embedded) == (pending, embedded)
    assert (report.left, report.index) == (pending - embedded, None)
    assert len(await stored(db)) == embedded
    assert await list_indexes(db, TABLE) == []
    assert (await backfill(db, RecordedService([]), **NAMES)).left == 0
    assert [index.state for index in await list_indexes(db, TABLE)] == ["valid"]


async def test_a_run_that_is_cancelled_as_it_is_stopped_is_cancelled() -> None:
    stop = asyncio.Event()
    work = asyncio.create_task(unless_stopped(stop, asyncio.sleep(60)))
    await asyncio.sleep(0)
    stop.set()
    work.cancel()

    with pytest.raises(asyncio.CancelledError):
        await work
