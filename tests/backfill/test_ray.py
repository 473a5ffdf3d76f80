"""The Ray engine does what the local one does, and survives what it survives."""

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

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
from tests.backfill.recorded import HaltingService, RecordedService
from tests.search.partitioned import KEYS, make_partitioned
from vla_embeddings import EmbeddingService
from vla_embeddings.backfill import backfill
from vla_embeddings.backfill.distributed import RayEngine
from vla_embeddings.backfill.distributed.ranges import key_ranges
from vla_embeddings.backfill.engine import BLOCK_ROWS
from vla_embeddings.backfill.keys import Key
from vla_embeddings.backfill.leases import Leases
from vla_embeddings.backfill.tally import Tally
from vla_embeddings.backfill.target import find_target
from vla_embeddings.errors import (
    ConfigurationError,
    EmbeddingError,
    EngineError,
    InvalidInput,
    MissingDependency,
)
from vla_embeddings.search import Database, list_indexes

ray = pytest.importorskip("ray", reason="the extra `distributed` is not installed")

pytestmark = pytest.mark.timeout(900)  # processes start slowly on a busy machine

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
    """Two workers, which append what they embed to the file `record`.

    They halt after a block each, until there is a file `go`.
    """
    return RayEngine(dsn, workers=2, make_service=partial(HaltingService, tmp_path))


@pytest.fixture
def one_worker(engine: RayEngine) -> RayEngine:
    """Likewise, with one."""
    return replace(engine, workers=1)


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Python collects cycles when it is told to alone."""
    gc.disable()
    yield
    gc.enable()


async def test_every_row_gets_its_vector_from_one_of_the_workers(
    db: Database, fill: Fill, engine: RayEngine, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
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
    assert {0, 2501} <= set(seen)


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
    run = asyncio.create_task(
        backfill(db, RecordedService([]), **NAMES, engine=engine, index=False)
    )
    await _written(db, 2 * BLOCK_ROWS["text"])
    os.kill(_workers(tmp_path)[0], signal.SIGKILL)
    (tmp_path / "go").touch()

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
    db: Database,
    fill: Fill,
    one_worker: RayEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vla_embeddings.backfill.distributed import ledger

    async def report_and_go(of: Any, tally: Tally, stop: asyncio.Event) -> EmbeddingError | None:
        stopped = stop.is_set()
        error = await tell(of, tally, stop)
        if stopped:
            (tmp_path / "go").touch()
        return error

    tell = ledger.report
    monkeypatch.setattr(ledger, "report", report_and_go)
    instructions = await fill(4000)
    await count_writes(db)
    stop = asyncio.Event()

    report = await backfill(
        db,
        RecordedService([]),
        **NAMES,
        engine=one_worker,
        index=False,
        stop=stop,
        progress=after_a_block(stop),
    )

    assert report.stopped
    assert report.embedded == len(await stored(db)) == 4000 - report.left
    assert report.embedded == 2 * BLOCK_ROWS["text"]
    assert (await backfill(db, RecordedService([]), **NAMES, index=False)).left == 0
    await expect_all(db, instructions)


async def test_a_ledger_that_dies_is_said_and_the_next_run_goes_on(
    db: Database,
    fill: Fill,
    one_worker: RayEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_collection: None,
) -> None:
    from vla_embeddings.backfill.distributed import ledger

    ledgers: list[Any] = []

    def start() -> Any:
        ledgers.append(start_ledger())
        return ledgers[0]

    start_ledger = ledger.start_ledger
    monkeypatch.setattr(ledger, "start_ledger", start)
    instructions = await fill(4000)
    await count_writes(db)
    run = asyncio.create_task(
        backfill(db, RecordedService([]), **NAMES, engine=one_worker, index=False)
    )
    await _written(db, BLOCK_ROWS["text"])
    os.kill(await ledgers[0].__ray_call__.remote(_pid), signal.SIGKILL)
    (tmp_path / "go").touch()

    with pytest.raises(EngineError, match=r"ledger on Ray is gone.*Run it again"):
        await run

    assert not _executors()
    await _ended(_workers(tmp_path))
    assert (await backfill(db, RecordedService([]), **NAMES, index=False)).left == 0
    await expect_all(db, instructions)


def _pid(_: object) -> int:
    return os.getpid()


async def test_a_cancelled_run_has_left_ray_when_it_ends(
    db: Database, fill: Fill, one_worker: RayEngine, tmp_path: Path, no_collection: None
) -> None:
    """Or Ray would be shut down under the thread that waits for the workers.

    Nor do they keep the CPUs of a Ray that goes on.
    """
    await fill(4000)
    await count_writes(db)
    run = asyncio.create_task(
        backfill(db, RecordedService([]), **NAMES, engine=one_worker, index=False)
    )
    await _written(db, BLOCK_ROWS["text"])
    assert _executors()
    run.cancel()
    (tmp_path / "go").touch()

    with pytest.raises(asyncio.CancelledError):
        await run

    assert not _executors()
    assert len(await stored(db)) < 4000
    await _ended(_workers(tmp_path))


async def test_a_worker_with_another_model_is_refused_before_it_writes(
    db: Database, fill: Fill, one_worker: RayEngine
) -> None:
    await fill(10)

    with pytest.raises(ConfigurationError, match="A worker's model is recorded, and the column"):
        await backfill(db, RecordedService([], model="other"), **NAMES, engine=one_worker)

    assert await stored(db) == {}


async def test_a_command_that_is_killed_leaves_no_worker_and_the_local_engine_goes_on(
    db: Database, dsn: str, fill: Fill, service: EmbeddingService, models_dir: Path
) -> None:
    """Both write the same: the model's own vectors."""
    instructions = await fill(3000)
    await count_writes(db)
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
    async with db.pool.acquire() as other, other.transaction():
        await other.execute(f"LOCK TABLE {TABLE} IN EXCLUSIVE MODE")  # so that the workers wait
        while len(workers := _encoders(dsn)) < 2:
            assert process.returncode is None
            await asyncio.sleep(0.05)
        process.kill()
        await process.wait()
        await _ended(workers)

    report = await backfill(db, service, **NAMES, index=False)

    assert report.left == 0
    assert 0 < report.embedded < 3000
    vectors = await stored(db)
    own = await service.batch_generate_embeddings(texts=instructions[::10])
    np.testing.assert_allclose(
        [vectors[key] for key in range(1, 3001, 10)], own["text_embeddings"], atol=1e-5
    )
    written = await db.pool.fetch("SELECT id FROM writes ORDER BY id")
    assert [row["id"] for row in written] == list(range(1, 3001))


def _workers(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.pid")]


async def _ended(processes: Collection[int]) -> None:
    while any(map(_alive, processes)):  # noqa: ASYNC110  # no children of ours
        await asyncio.sleep(0.05)


def _alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def _encoders(dsn: str) -> list[int]:
    """The actors that work on this database for a command."""
    return [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if _read(folder / "cmdline").startswith(b"ray::MapWorker")
        and dsn.encode() in _read(folder / "environ")
    ]


def _read(file: Path) -> bytes:
    """Its content; nothing where its process has ended meanwhile."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


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
