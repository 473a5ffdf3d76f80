"""Every function works through a real PgBouncer in transaction mode."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.search.conftest import ADVISORY_LOCKS, COLUMN, TABLE
from tests.search.test_faults import JOBS
from tests.search.test_handles import whole_job
from vla_embeddings.errors import SearchError, UnknownName
from vla_embeddings.local.process import GuardedProcess, unprivileged_account
from vla_embeddings.search import (
    Database,
    cosine_similarity_search,
    create_hnsw_index,
    list_indexes,
)


@pytest.fixture
def pooled_dsn(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of this test's database behind a PgBouncer with three server connections."""
    binary = shutil.which("pgbouncer")
    if binary is None:
        pytest.skip("no pgbouncer on PATH (Debian: apt install pgbouncer)")
    [host] = parse_qs(urlsplit(dsn).query).get("host", [""])
    if not host:
        pytest.skip("the PgBouncer is set up for the embedded server only")
    account = unprivileged_account()
    folder = Path(shutil.copytree(tmp_path_factory.mktemp("empty"), f"{host}/pgbouncer"))
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={host} port=5432 user=postgres\n[pgbouncer]\nlisten_port = 6432\n"
        f"unix_socket_dir = {folder}\nauth_type = any\npool_mode = transaction\n"
        "default_pool_size = 3\n"
    )
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    process = GuardedProcess(
        [binary, settings], log=folder / "log", stop_signal="INT", account=account
    )
    process.wait_until((folder / ".s.PGSQL.6432").exists, seconds=10)
    yield dsn.replace(host, str(folder)).replace("port=5432", "port=6432")
    process.stop()
    shutil.rmtree(folder)


@pytest.fixture
async def pooled(pooled_dsn: str) -> AsyncIterator[Database]:
    """A pool on PgBouncer."""
    async with await Database.connect(pooled_dsn, max_size=6, pgbouncer=True) as database:
        yield database


async def test_the_whole_job_is_done_behind_pgbouncer(
    pooled: Database, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last of the jobs wait for a connection until the others are done.
    monkeypatch.setattr("vla_embeddings.search.handles.ACQUIRE_SECONDS", 120.0)
    await whole_job(pooled, concurrently=False)

    await create_hnsw_index(db, TABLE, COLUMN)
    await asyncio.gather(*(job(pooled) for job in JOBS.values() for _ in range(3)))
    assert await db.pool.fetchval(ADVISORY_LOCKS) == 0


async def test_behind_pgbouncer_an_index_is_built_while_writers_wait_or_not_at_all(
    pooled: Database, db: Database
) -> None:
    with pytest.raises(SearchError, match=r"PgBouncer may give it several.*concurrently=False"):
        await create_hnsw_index(pooled, TABLE, COLUMN)
    assert await list_indexes(db) == []

    built = await asyncio.gather(
        *(create_hnsw_index(pooled, TABLE, COLUMN, concurrently=False) for _ in range(3))
    )

    assert built == [await create_hnsw_index(pooled, TABLE, COLUMN)] * 3
    memory = {await pooled.pool.fetchval("SHOW maintenance_work_mem") for _ in range(9)}
    assert memory == {"64MB"}


async def test_a_search_path_that_stayed_with_another_session_misleads_no_search(
    pooled: Database, db: Database
) -> None:
    await db.pool.execute(f"CREATE SCHEMA tenant; CREATE TABLE tenant.items (LIKE {TABLE})")
    async with pooled.pool.acquire() as ours, pooled.pool.acquire() as other:
        await ours.execute("SET search_path TO tenant, public")
        assert await cosine_similarity_search(ours, "items", COLUMN, [1.0] * 384) == []
        async with other.transaction():  # in the session that has the path
            assert await other.fetchval("SHOW search_path") == "tenant, public"
            with pytest.raises(UnknownName, match="no table 'items'"):
                await cosine_similarity_search(ours, "items", COLUMN, [1.0] * 384)
