"""A server that crashes under a pool and comes back, and a streaming standby beside it."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from tests.search.conftest import COLUMN, TABLE, rows_of, unit_vectors
from tests.search.test_faults import JOBS
from vla_embeddings.errors import DatabaseUnavailable, InvalidInput, SearchError
from vla_embeddings.local import LocalPostgres
from vla_embeddings.local.process import run, unprivileged_account
from vla_embeddings.search import (
    Database,
    cosine_similarity_search,
    create_hnsw_index,
    create_schema,
    insert_embeddings,
    list_indexes,
)

VECTORS = unit_vectors(2000)


class Cluster:
    """An embedded server and PostgreSQL's own tools for it."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.folder = Path(parse_qs(urlsplit(dsn).query)["host"][0])
        pid = (self.folder / "data" / "postmaster.pid").read_text().split()[0]
        self._binaries = Path(os.readlink(f"/proc/{pid}/exe")).parent

    def control(self, data: str, *words: str) -> None:
        """`pg_ctl` for the server whose data is in this part of the folder."""
        log = self.folder / f"{data}.log"
        self._run("pg_ctl", "-D", str(self.folder / data), "-l", str(log), "-w", *words)

    def start_standby(self) -> str:
        """Start a standby that follows the server; returns its address."""
        data, connection = str(self.folder / "standby"), f"host={self.folder} user=postgres"
        self._run("pg_basebackup", "-D", data, "-d", connection, "-R", "-c", "fast", "--no-sync")
        self.control("standby", "-o", f"-k {self.folder} -p 5433 -h ''", "start")
        return self.dsn.replace("port=5432", "port=5433")

    def _run(self, tool: str, *words: str) -> None:
        run([self._binaries / tool, *words], account=unprivileged_account())


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server of this test's own; what is committed survives its crash."""
    with LocalPostgres(settings={"synchronous_commit": "on"}) as server:
        cluster = Cluster(server.dsn)
        yield cluster
        for lock in cluster.folder.glob("*/postmaster.pid"):
            cluster.control(lock.parent.name, "-m", "immediate", "stop")


@pytest.fixture
async def db(cluster: Cluster) -> AsyncIterator[Database]:
    """A pool on this server, with 2,000 rows and an index."""
    async with await Database.connect(cluster.dsn, max_size=3) as db:
        await create_schema(db)
        await insert_embeddings(db, TABLE, COLUMN, rows_of(VECTORS))
        await create_hnsw_index(db, TABLE, COLUMN)
        yield db


async def test_a_pool_is_used_again_once_its_server_is_back(
    cluster: Cluster, db: Database
) -> None:
    await asyncio.gather(*(db.pool.execute("SELECT pg_sleep(0.1)") for _ in range(3)))

    cluster.control("data", "-m", "immediate", "stop")
    for job in JOBS.values():
        with pytest.raises(DatabaseUnavailable):
            await job(db)

    cluster.control("data", "restart")
    await asyncio.gather(*(job(db) for job in JOBS.values()))
    assert [index.state for index in await list_indexes(db)] == ["valid"]
    assert await db.pool.fetchval(f"SELECT count(*) FROM {TABLE}") == 4000


async def test_a_crash_in_the_middle_of_a_call_is_said_and_the_next_one_works(
    cluster: Cluster, db: Database
) -> None:
    for work in ("search", "batch", "insert", "create"):
        for delay in (0.0, 0.02):
            call = asyncio.ensure_future(JOBS[work](db))
            await asyncio.sleep(delay)
            await asyncio.to_thread(cluster.control, "data", "-m", "immediate", "restart")
            [outcome] = await asyncio.gather(call, return_exceptions=True)
            assert not isinstance(outcome, Exception) or isinstance(outcome, DatabaseUnavailable)
            await JOBS[work](db)


async def _caught_up(db: Database, standby: Database) -> None:
    """Return once `standby` has all that `db` wrote."""
    written = await db.pool.fetchval("SELECT pg_current_wal_lsn()")
    replayed = "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn"
    # Nothing announces it: the standby has to be asked.
    while not await standby.pool.fetchval(replayed, written):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_standby_can_be_searched_but_not_written(cluster: Cluster, db: Database) -> None:
    address = cluster.start_standby()
    await insert_embeddings(db, TABLE, COLUMN, [{"instruction": "late", COLUMN: -VECTORS[0]}])
    async with await Database.connect(address) as standby:
        await _caught_up(db, standby)

        [row] = await cosine_similarity_search(standby, TABLE, COLUMN, -VECTORS[0])
        assert row["instruction"] == "late"
        for work in ("index_embedding", "batch", "insert"):
            with pytest.raises(SearchError, match="read-only; write to the primary"):
                await JOBS[work](standby)
        with pytest.raises(SearchError, match="write to the primary"):
            await create_hnsw_index(standby, TABLE, COLUMN, distance_metric="euclidean")


async def _is_standby(db: Database) -> bool:
    """Which server a new connection of this pool leads to, once the old ones are found dead."""
    for _ in range(3):
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return bool(await db.pool.fetchval("SELECT pg_is_in_recovery()"))
    raise AssertionError("no connection")


async def test_one_address_of_both_servers_splits_reads_from_writes(
    cluster: Cluster, db: Database
) -> None:
    """Reads go on when either server is down, writes while the primary is up."""
    cluster.start_standby()
    both = f"postgresql://postgres@/postgres?host={cluster.folder},{cluster.folder}&port="
    orders = "5432,5433", "5433,5432"
    for place, ports in enumerate(orders):
        async with (
            await Database.connect(both + ports, target_session_attrs="read-write") as writes,
            await Database.connect(both + ports, target_session_attrs="prefer-standby") as reads,
        ):
            await insert_embeddings(writes, TABLE, COLUMN, [{COLUMN: -VECTORS[place]}])
            await _caught_up(writes, reads)
            assert len(await cosine_similarity_search(reads, TABLE, COLUMN, -VECTORS[place])) == 1
            assert [await _is_standby(writes), await _is_standby(reads)] == [False, True]

    async with await Database.connect(
        both + orders[0], target_session_attrs="prefer-standby"
    ) as reads:
        cluster.control("standby", "-m", "immediate", "stop")
        assert not await _is_standby(reads)
    cluster.control("standby", "-o", f"-k {cluster.folder} -p 5433 -h ''", "start")
    async with await Database.connect(
        both + orders[0], target_session_attrs="prefer-standby"
    ) as reads:
        cluster.control("data", "-m", "immediate", "stop")
        assert await cosine_similarity_search(reads, TABLE, COLUMN, VECTORS[0])
    with pytest.raises(DatabaseUnavailable):
        await Database.connect(both + orders[0], target_session_attrs="read-write")
    with pytest.raises(DatabaseUnavailable, match="no server is as target_session_attrs"):
        await Database.connect(both + "5433,5433", target_session_attrs="read-write")


async def test_an_unknown_kind_of_server_is_refused() -> None:
    with pytest.raises(InvalidInput, match="prefer-standby, read-write, read-only; got 'replica'"):
        await Database.connect("postgresql://x", target_session_attrs="replica")  # type: ignore[arg-type]  # wrong on purpose
