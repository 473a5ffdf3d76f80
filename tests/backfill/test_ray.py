"""The Ray engine does what the local one does, and survives what it survives."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.backfill.conftest import (
    COLUMN,
    NAMES,
    TABLE,
    Fill,
    add_rows,
    after_a_block,
    count_writes,
    expect_all,
    stored,
)
from tests.backfill.recorded import RecordedService, noted_service
from tests.search.partitioned import KEYS, make_partitioned
from vla_embeddings import EmbeddingService
from vla_embeddings.backfill import backfill
from vla_embeddings.backfill.distributed import RayEngine
from vla_embeddings.backfill.distributed.ranges import key_ranges
from vla_embeddings.backfill.engine import BLOCK_ROWS
from vla_embeddings.backfill.keys import Key
from vla_embeddings.backfill.leases import Leases
from vla_embeddings.backfill.target import find_target
from vla_embeddings.errors import ConfigurationError, EngineError, InvalidInput, MissingDependency
from vla_embeddings.search import Database, list_indexes

ray = pytest.importorskip("ray", reason="the extra `distributed` is not installed")

pytestmark = pytest.mark.timeout(400)  # processes start slowly on a busy machine

COMMAND = Path(sys.executable).with_name("vla-embeddings")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray that is running already, with two CPUs."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
    )
    yield
    ray.shutdown()


@pytest.fixture
def engine(cluster: None, dsn: str, tmp_path: Path) -> RayEngine:
    """Two workers, which append what they embed to the file `record`."""
    return RayEngine(dsn, workers=2, make_service=partial(noted_service, tmp_path))


async def test_every_row_gets_its_vector_from_one_of_the_workers(
    db: Database, fill: Fill, engine: RayEngine, tmp_path: Path
) -> None:
    instructions = await fill(2500)
    await add_rows(db, [None])
    await count_writes(db)
    seen: list[int] = []

    report = await backfill(
        db, RecordedService([]), **NAMES, engine=engine, progress=lambda p: seen.append(p.done)
    )

    assert (report.embedded, report.left) == (2500, 0)
    assert [row.id for row in report.failed] == [2501]
    await expect_all(db, instructions)
    assert sorted((tmp_path / "record").read_text().splitlines()) == sorted(instructions)
    assert [index.name for index in await list_indexes(db, TABLE)] == [report.index]
    assert {0, 2501} < set(seen)


@pytest.mark.parametrize("table", KEYS)
async def test_ranges_of_keys_cover_a_table_and_do_not_overlap(db: Database, table: str) -> None:
    await make_partitioned(db, np.eye(384, dtype=np.float32))
    await db.pool.execute(f"UPDATE {table} SET {COLUMN} = NULL WHERE id % 10 > 0")
    async with db.pool.acquire() as connection:
        target = await find_target(
            connection, table, "instruction", COLUMN, kind="text", filters=None
        )
        ranges = await key_ranges(connection, target, rows=50)
        found: list[list[Key]] = []
        for within in ranges:
            leases = Leases(target, block_rows=1000, stop=asyncio.Event(), within=within)
            async with leases.block(connection) as rows:
                found.append([row.key for row in rows])

    names = ", ".join(KEYS[table])
    pending = await db.pool.fetch(
        f"SELECT {names} FROM {table} WHERE {COLUMN} IS NULL ORDER BY {names}"
    )
    assert [key for keys in found for key in keys] == [tuple(row) for row in pending]
    assert {len(keys) for keys in found[:-1]} == {50}


async def test_a_worker_that_is_killed_costs_nothing_but_its_rows_in_flight(
    db: Database, fill: Fill, engine: RayEngine, tmp_path: Path
) -> None:
    instructions = await fill(4000)
    await count_writes(db)
    run = asyncio.create_task(backfill(db, RecordedService([]), **NAMES, engine=engine))
    await _written(db, 1000)
    os.kill(_workers(tmp_path)[0], signal.SIGKILL)

    report = await run

    assert report.left == 0
    await expect_all(db, instructions)
    embedded = (tmp_path / "record").read_text().splitlines()
    assert len(embedded) <= 4000 + 3 * BLOCK_ROWS["text"]
    assert len(_workers(tmp_path)) == 3


async def _written(db: Database, least: int) -> None:
    # Other processes write: there is no event to wait for.
    while await db.pool.fetchval("SELECT count(*) FROM writes") < least:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_stopped_run_ends_after_the_rows_at_hand_and_the_next_goes_on(
    db: Database, fill: Fill, engine: RayEngine
) -> None:
    instructions = await fill(12_000)
    await count_writes(db)
    stop = asyncio.Event()

    report = await backfill(
        db,
        RecordedService([]),
        **NAMES,
        engine=engine,
        stop=stop,
        progress=after_a_block(stop),
    )

    assert report.stopped
    assert 0 < report.embedded == len(await stored(db)) == 12_000 - report.left < 12_000
    assert (await backfill(db, RecordedService([]), **NAMES)).left == 0
    await expect_all(db, instructions)


async def test_a_ledger_that_dies_is_said_and_the_next_run_goes_on(
    db: Database, fill: Fill, engine: RayEngine
) -> None:
    instructions = await fill(4000)
    await count_writes(db)
    others = _processes("ray::Ledger")
    run = asyncio.create_task(backfill(db, RecordedService([]), **NAMES, engine=engine))
    await _written(db, BLOCK_ROWS["text"])
    [ledger] = _processes("ray::Ledger") - others
    os.kill(ledger, signal.SIGKILL)

    with pytest.raises(EngineError, match=r"ledger on Ray is gone.*Run it again"):
        await run

    assert not _executors()
    assert (await backfill(db, RecordedService([]), **NAMES)).left == 0
    await expect_all(db, instructions)


async def test_a_cancelled_run_has_left_ray_when_it_ends(
    db: Database, fill: Fill, engine: RayEngine
) -> None:
    """Or Ray would be shut down under the thread that waits for the workers."""
    await fill(12_000)
    await count_writes(db)
    run = asyncio.create_task(backfill(db, RecordedService([]), **NAMES, engine=engine))
    await _written(db, BLOCK_ROWS["text"])
    running = _executors()
    run.cancel()

    with pytest.raises(asyncio.CancelledError):
        await run

    assert running
    assert not _executors()
    assert len(await stored(db)) < 12_000


async def test_a_worker_with_another_model_is_refused_before_it_writes(
    db: Database, fill: Fill, engine: RayEngine
) -> None:
    await fill(10)

    with pytest.raises(ConfigurationError, match="A worker's model is recorded, and the column"):
        await backfill(db, RecordedService([], model="other"), **NAMES, engine=engine)

    assert await stored(db) == {}


async def test_a_command_that_is_killed_leaves_no_worker_and_the_local_engine_goes_on(
    db: Database, dsn: str, fill: Fill, service: EmbeddingService, models_dir: Path
) -> None:
    """Both write the same: the model's own vectors."""
    instructions = await fill(6000)
    await count_writes(db)
    others = _encoders()
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "backfill", "--engine", "ray", "--workers", "2", "--table", TABLE),
        *("--source-column", "instruction", "--embedding-column", COLUMN),
        env={
            "PATH": "/usr/bin:/bin",
            "EMBEDDING_DATABASE_URL": dsn,
            "EMBEDDING_MODELS_DIR": str(models_dir),
        },
    )
    await _written(db, BLOCK_ROWS["text"])
    workers = _encoders() - others
    process.kill()
    await process.wait()
    while workers & _encoders():  # noqa: ASYNC110  # no children of ours, whose end we would hear
        await asyncio.sleep(0.05)

    report = await backfill(db, service, **NAMES)

    assert report.left == 0
    assert 0 < report.embedded < 6000
    vectors, own = await stored(db), await service.batch_generate_embeddings(texts=instructions)
    np.testing.assert_allclose(
        [vectors[key] for key in sorted(vectors)], own["text_embeddings"], atol=1e-5
    )
    written = await db.pool.fetch("SELECT id FROM writes ORDER BY id")
    assert [row["id"] for row in written] == list(range(1, 6001))
    assert len(workers) == 2


def _workers(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.pid")]


def _encoders() -> set[int]:
    """The actors of any Ray on this machine that are alive."""
    return _processes("ray::MapWorker")


def _processes(name: str) -> set[int]:
    return {
        int(line.parent.name)
        for line in Path("/proc").glob("[0-9]*/cmdline")
        if line.read_bytes().startswith(name.encode())
    }


def _executors() -> list[threading.Thread]:
    """The threads in which Ray Data runs datasets."""
    return [each for each in threading.enumerate() if "StreamingExecutor" in each.name]


async def test_a_ray_that_cannot_be_reached_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vla_embeddings.backfill.distributed.cluster import cluster as ray_cluster

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")

    with pytest.raises(EngineError, match=r"\(127\.0\.0\.1:1\): .*refused"):
        async with ray_cluster(2):
            pass


def test_an_unusable_engine_is_refused_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="workers must be a whole number from 1; got 0"):
        RayEngine("postgresql://", workers=0)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"pip install 'vla-embeddings\[distributed\]'"):
        RayEngine("postgresql://")
