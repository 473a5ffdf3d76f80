"""What a caller sees, and what stays in the database, when things go wrong."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from tests.search.conftest import COLUMN, TABLE, Vectors, rows_of, settings_of, unit_vectors
from vla_embeddings.errors import DatabaseUnavailable, SearchError, UnknownName
from vla_embeddings.search import (
    Database,
    batch_index_embeddings,
    cosine_similarity_search,
    create_hnsw_index,
    create_ivfflat_index,
    create_schema,
    drop_index,
    euclidean_distance_search,
    index_embedding,
    inner_product_search,
    insert_embeddings,
    list_indexes,
    measure_recall,
)
from vla_embeddings.search.building import build
from vla_embeddings.search.catalog import resolve
from vla_embeddings.search.handles import Handle

VECTORS = unit_vectors(3000)

Job = Callable[[Handle], Awaitable[object]]

JOBS: dict[str, Job] = {
    "search": lambda db: cosine_similarity_search(db, TABLE, COLUMN, VECTORS[0]),
    "euclidean": lambda db: euclidean_distance_search(db, TABLE, COLUMN, VECTORS[0]),
    "inner_product": lambda db: inner_product_search(db, TABLE, COLUMN, VECTORS[0]),
    "index_embedding": lambda db: index_embedding(db, TABLE, "id", 1, COLUMN, VECTORS[1]),
    "batch": lambda db: batch_index_embeddings(
        db,
        TABLE,
        "id",
        COLUMN,
        [{"id": n, "embedding": VECTORS[-n]} for n in range(1, 2001)],
        chunk_rows=500,
    ),
    "insert": lambda db: insert_embeddings(db, TABLE, COLUMN, rows_of(VECTORS[:2000])),
    "create": lambda db: create_hnsw_index(db, TABLE, COLUMN),
    "list": lambda db: list_indexes(db),
}


async def _drop(db: Handle) -> None:
    index = await create_ivfflat_index(db, TABLE, COLUMN, 10, "inner_product")
    await drop_index(db, index.name)


async def _recall(db: Handle) -> None:
    await create_ivfflat_index(db, TABLE, COLUMN, 10, "euclidean")
    await measure_recall(db, TABLE, COLUMN, distance_metric="euclidean", efforts=[1], sample=3)


OTHER_JOBS: dict[str, Job] = {"drop": _drop, "recall": _recall, "schema": create_schema}


@pytest.fixture(params=JOBS | OTHER_JOBS)
def job(request: pytest.FixtureRequest) -> Job:
    """Each function in turn."""
    return (JOBS | OTHER_JOBS)[request.param]


async def test_a_killed_connection_is_an_error_of_ours_and_the_next_call_works(
    db: Database, filled: Vectors, job: Job, dsn: str
) -> None:
    killer = await asyncpg.connect(dsn)
    count = f"SELECT count(*) FROM {TABLE}"
    rows = await killer.fetchval(count)

    for delay in (0.0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.1):
        work = asyncio.ensure_future(job(db))
        await asyncio.sleep(delay)
        await killer.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE application_name = 'vla-embeddings' AND datname = current_database()"
        )
        [outcome] = await asyncio.gather(work, return_exceptions=True)
        assert not isinstance(outcome, Exception) or isinstance(outcome, DatabaseUnavailable)
        before, rows = rows, await killer.fetchval(count)
        assert rows - before in (0, 2000)

    await job(db)
    assert all(index.state == "valid" for index in await list_indexes(db))
    await killer.close()


async def test_cancelled_calls_return_their_connections_clean(
    db: Database, filled: Vectors, job: Job
) -> None:
    for step in range(10):
        work = asyncio.ensure_future(job(db))
        await asyncio.sleep(step * 0.002)
        work.cancel()
        await asyncio.wait([work])

    idle = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    )
    assert await db.pool.fetchval(idle) == 0
    await job(db)


async def test_no_setting_stays_on_a_callers_connection(
    dsn: str, filled: Vectors, job: Job
) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "LOAD 'vector'; SET hnsw.ef_search = 77; SET idle_in_transaction_session_timeout = '1h'"
    )
    before = await settings_of(connection)

    await job(connection)
    assert await settings_of(connection) == before
    async with connection.transaction():
        await job(connection)
        assert await settings_of(connection) == before
    for milliseconds in (1, 4, 16):
        await connection.execute(f"SET statement_timeout = {milliseconds}")
        [outcome] = await asyncio.gather(job(connection), return_exceptions=True)
        assert not isinstance(outcome, Exception) or "statement_timeout" in str(outcome)
        await _lift_statement_timeout(connection)
        assert await settings_of(connection) == before
    for step in range(8):
        work = asyncio.ensure_future(job(connection))
        await asyncio.sleep(step * 0.003)
        work.cancel()
        await asyncio.wait([work])
        assert await settings_of(connection) == before
    if job is _drop:  # cut off after its first commit, it leaves an invalid index
        await job(connection)
    assert {index.state for index in await list_indexes(connection)} <= {"valid"}
    await connection.close()


async def _lift_statement_timeout(connection: asyncpg.Connection) -> None:
    """The timeout may cut this off too, and may have cut off the end of a failed transaction."""
    end = ""
    while True:
        try:
            await connection.execute(f"{end}SET statement_timeout = 0")
            return
        except asyncpg.InFailedSQLTransactionError:
            end = "ROLLBACK; "
        except asyncpg.QueryCanceledError:
            pass


async def test_a_statement_timeout_is_said_and_the_callers_transaction_survives_a_search(
    db: Database, filled: Vectors
) -> None:
    await db.pool.execute(
        f"CREATE VIEW slow AS SELECT id, {COLUMN}, pg_sleep(0.01) IS NULL AS nap FROM {TABLE}"
    )
    async with db.pool.acquire() as connection, connection.transaction():
        await resolve(connection, "slow")  # so that the search alone runs into the timeout
        await connection.execute("SET LOCAL statement_timeout = '250ms'")
        with pytest.raises(SearchError, match="statement_timeout"):
            await cosine_similarity_search(connection, "slow", COLUMN, VECTORS[0])
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_search_cancelled_twice_spares_the_callers_transaction(
    db: Database, filled: Vectors
) -> None:
    await db.pool.execute(
        f"CREATE VIEW slow AS SELECT id, {COLUMN}, pg_sleep(0.01) IS NULL AS nap FROM {TABLE}"
    )
    sleeping = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event = 'PgSleep'"
    )
    async with db.pool.acquire() as connection, connection.transaction():
        work = asyncio.create_task(
            cosine_similarity_search(connection, "slow", COLUMN, VECTORS[0])
        )
        # Nothing announces that the search is under way: the server has to be asked.
        while not await db.pool.fetchval(sleeping):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait([work])

        assert work.cancelled()
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_read_only_server_can_be_searched_but_not_written(
    db: Database, indexed: Vectors
) -> None:
    name = await db.pool.fetchval("SELECT current_database()")
    await db.pool.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await db.pool.expire_connections()

    assert len(await cosine_similarity_search(db, TABLE, COLUMN, VECTORS[0])) == 10
    for work in ("index_embedding", "batch", "insert"):
        with pytest.raises(SearchError, match="read-only; write to the primary"):
            await JOBS[work](db)
    with pytest.raises(SearchError, match="read-only; write to the primary"):
        await create_hnsw_index(db, TABLE, COLUMN, distance_metric="euclidean")


async def test_a_full_pool_is_an_error_and_not_a_hang(
    dsn: str, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vla_embeddings.search.handles.ACQUIRE_SECONDS", 0.05)
    async with await Database.connect(dsn, max_size=1) as db, db.pool.acquire():
        with pytest.raises(DatabaseUnavailable, match="pool is large enough"):
            await job(db)


async def test_a_table_dropped_in_between_is_unknown(db: Database, filled: Vectors) -> None:
    await JOBS["search"](db)
    await db.pool.execute(f"DROP TABLE {TABLE}")

    for work in ("search", "index_embedding", "batch", "insert", "create"):
        with pytest.raises(UnknownName, match=TABLE):
            await JOBS[work](db)


async def test_a_failed_transaction_of_the_callers_is_said(db: Database) -> None:
    async with db.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("SELECT 1/0")
        for work in JOBS.values():
            with pytest.raises(SearchError, match="current transaction is aborted"):
                await work(connection)
        await transaction.rollback()


async def test_a_role_without_rights_is_told(db: Database, filled: Vectors, dsn: str) -> None:
    role = f"guest_{uuid.uuid4().hex}"
    await db.pool.execute(f"CREATE ROLE {role} LOGIN")
    async with await Database.connect(dsn.replace("postgres@", f"{role}@")) as guest:
        for work in ("search", "index_embedding", "batch", "insert", "create"):
            with pytest.raises(SearchError, match=r"grant the role what it lacks"):
                await JOBS[work](guest)
    await db.pool.execute(f"DROP ROLE {role}")


async def test_a_busy_connection_is_said(dsn: str) -> None:
    connection, holder = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    await holder.execute("SELECT pg_advisory_lock(1)")
    busy = asyncio.create_task(connection.execute("SELECT pg_advisory_lock(1)"))
    await asyncio.sleep(0)

    with pytest.raises(SearchError, match="another operation is in progress"):
        await list_indexes(connection)
    await holder.close()
    await busy
    await connection.close()


async def test_an_error_of_the_callers_own_passes_through(db: Database) -> None:
    def broken() -> object:
        yield {"id": 1, "embedding": VECTORS[0]}
        raise FileNotFoundError("vectors.npy")

    with pytest.raises(FileNotFoundError, match=r"vectors\.npy"):
        await batch_index_embeddings(db, TABLE, "id", COLUMN, broken())  # type: ignore[arg-type]  # it is an iterator


async def test_shared_memory_that_runs_out_is_done_without(
    db: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tried: list[str | None] = []

    async def fail_once(*args: object, settings: dict[str, str], **options: object) -> None:
        tried.append(settings.get("max_parallel_maintenance_workers"))
        if len(tried) == 1:
            raise asyncpg.DiskFullError("could not resize shared memory segment")
        await build(*args, settings=settings, **options)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr("vla_embeddings.search.creating.build", fail_once)
    await create_hnsw_index(db, TABLE, COLUMN)

    assert tried == [None, "0"]
    assert any("building without parallel workers" in message for message in caplog.messages)
