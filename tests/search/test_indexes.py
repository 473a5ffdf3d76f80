"""Indexes are built once, whole, and by one builder at a time."""

import asyncio
import random
import uuid

import asyncpg
import pytest

from tests.search.conftest import ADVISORY_LOCKS, COLUMN, TABLE, Vectors
from vla_embeddings.errors import InvalidInput, SearchError, UnknownName
from vla_embeddings.search import (
    BuildProgress,
    Database,
    create_hnsw_index,
    create_ivfflat_index,
    drop_index,
    list_indexes,
)
from vla_embeddings.search.metric import MetricName

NAME = "instruction_analytics_instruction_embedding_hnsw_cosine_idx"

OVERDUE = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > '600ms'"
)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
async def test_each_kind_of_index_is_built_once(
    db: Database, metric: MetricName, half: bool
) -> None:
    for create in (create_hnsw_index, create_ivfflat_index):
        built = await create(db, TABLE, COLUMN, distance_metric=metric, half=half)
        again = await create(db, TABLE, COLUMN, distance_metric=metric, half=half)

        assert built == again
        assert (built.metric, built.half, built.state) == (metric, half, "valid")
    assert len(await list_indexes(db, TABLE)) == 2


async def test_a_half_index_is_half_the_size(db: Database, filled: Vectors) -> None:
    full = await create_hnsw_index(db, TABLE, COLUMN)
    half = await create_hnsw_index(db, TABLE, COLUMN, distance_metric="euclidean", half=True)

    assert half.size_bytes < 0.65 * full.size_bytes


async def test_the_names_of_indexes_differ_however_long_the_tables(db: Database) -> None:
    await db.pool.execute(f'CREATE TABLE "{"ä" * 31}" (e vector(3))')

    names = set()
    metrics: tuple[MetricName, ...] = ("cosine", "euclidean")
    for metric in metrics:
        index = await create_hnsw_index(db, "ä" * 31, "e", distance_metric=metric)
        names.add(index.name)

    assert len(names) == 2


async def test_another_definition_is_refused_with_the_way_out(db: Database) -> None:
    await create_hnsw_index(db, TABLE, COLUMN, m=8)

    with pytest.raises(SearchError, match=rf"m='8'.*m = 16.*drop_index\(db, '{NAME}'\)"):
        await create_hnsw_index(db, TABLE, COLUMN)
    with pytest.raises(SearchError, match="already has the index"):
        await create_hnsw_index(db, TABLE, COLUMN, m=8, half=True)

    dropped = await drop_index(db, NAME)
    assert dropped.options == {"m": 8, "ef_construction": 64}
    assert (await create_hnsw_index(db, TABLE, COLUMN)).options["m"] == 16


async def test_a_table_made_anew_is_indexed_anew(db: Database) -> None:
    for _ in range(2):
        await db.pool.execute("DROP TABLE IF EXISTS t; CREATE TABLE t (e vector(3))")
        await create_hnsw_index(db, "t", "e")

        assert [index.state for index in await list_indexes(db, "t")] == ["valid"]


async def test_an_equal_index_under_another_name_is_found(db: Database) -> None:
    await db.pool.execute(f"CREATE INDEX mine ON {TABLE} USING hnsw ({COLUMN} vector_cosine_ops)")

    assert (await create_hnsw_index(db, TABLE, COLUMN)).name == "mine"


async def test_an_index_of_something_else_than_the_column_does_not_count(db: Database) -> None:
    await db.pool.execute(
        "CREATE TABLE t (e vector(8));"
        "CREATE INDEX part ON t USING hnsw ((subvector(e, 1, 4)::vector(4)) vector_cosine_ops)"
    )

    assert (await create_hnsw_index(db, "t", "e")).name == "t_e_hnsw_cosine_idx"

    [part, whole] = await list_indexes(db, "t")
    assert ("subvector(e, 1, 4)" in part.column, whole.column) == (True, "e")
    assert (await drop_index(db, "part")).name == "part"


@pytest.mark.parametrize("column", ["e", "E e", 'a"b'])
async def test_an_index_of_the_column_cast_to_half_precision_counts(
    db: Database, column: str
) -> None:
    name = '"' + column.replace('"', '""') + '"'
    await db.pool.execute(
        f"CREATE TABLE t ({name} vector(8)); CREATE SCHEMA elsewhere;"
        f"CREATE INDEX half ON t USING hnsw (({name}::halfvec(8)) halfvec_cosine_ops)"
    )

    async with db.pool.acquire() as connection:
        for path in ("public", "elsewhere"):
            await connection.execute(f"SET search_path = {path}")
            built = await create_hnsw_index(connection, "public.t", column, half=True)
            assert (built.name, built.column, built.half) == ("half", column, True)


async def test_two_tables_whose_indexes_would_have_one_name_both_get_theirs(db: Database) -> None:
    await db.pool.execute("CREATE TABLE a_b (c vector(3)); CREATE TABLE a (b_c vector(3))")
    await create_hnsw_index(db, "a_b", "c")

    second = await create_hnsw_index(db, "a", "b_c")
    assert await create_hnsw_index(db, "a", "b_c") == second
    assert await list_indexes(db, "a") == [second]
    assert [index.name for index in await list_indexes(db)] == [
        "a_b_c_hnsw_cosine_idx",
        second.name,
    ]
    assert await drop_index(db, second.name) == second
    assert [index.table for index in await list_indexes(db)] == ["public.a_b"]


async def test_a_partial_index_does_not_count_as_the_whole(db: Database) -> None:
    await db.pool.execute(
        f"CREATE INDEX part ON {TABLE} USING hnsw ({COLUMN} vector_cosine_ops) "
        "WHERE model_type = 'openvla'"
    )

    assert (await create_hnsw_index(db, TABLE, COLUMN)).name == NAME


async def test_an_invalid_leftover_is_replaced(
    db: Database, indexed: Vectors, caplog: pytest.LogCaptureFixture
) -> None:
    # What a server crash in the middle of a build leaves.
    await db.pool.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::regclass", NAME
    )

    assert [index.state for index in await list_indexes(db)] == ["invalid"]
    assert (await create_hnsw_index(db, TABLE, COLUMN)).state == "valid"
    assert len(await list_indexes(db)) == 1
    assert f"Removing the invalid index {NAME} of a build that broke off" in caplog.messages


async def test_an_index_that_is_being_built_elsewhere_is_left_alone(
    db: Database, filled: Vectors, dsn: str
) -> None:
    """Also by a role that the server tells little of what others do."""
    owner = f"owner_{uuid.uuid4().hex}"
    await db.pool.execute(f"CREATE ROLE {owner} LOGIN; ALTER TABLE {TABLE} OWNER TO {owner}")
    other, blocker = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    await blocker.execute(f"BEGIN; LOCK TABLE {TABLE} IN ROW EXCLUSIVE MODE")
    build = asyncio.create_task(
        other.execute(
            f"CREATE INDEX CONCURRENTLY x ON {TABLE} USING hnsw ({COLUMN} vector_cosine_ops)"
        )
    )
    # Nothing announces it: the server's catalog has to be asked.
    while [index.state for index in await list_indexes(db)] != ["building"]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)

    async with await Database.connect(dsn.replace("postgres@", f"{owner}@")) as owned:
        for handle in (db, owned):
            with pytest.raises(SearchError, match=r"already has the index x \(building\)"):
                await create_hnsw_index(handle, TABLE, COLUMN)

    await blocker.execute("COMMIT")
    await build
    await asyncio.gather(other.close(), blocker.close())
    await db.pool.execute(f"REASSIGN OWNED BY {owner} TO CURRENT_USER; DROP ROLE {owner}")


async def test_builders_at_once_do_not_collide(db: Database, filled: Vectors) -> None:
    built = await asyncio.gather(
        *(create_hnsw_index(db, TABLE, COLUMN) for _ in range(3)),
        create_hnsw_index(db, TABLE, COLUMN, distance_metric="euclidean"),
    )

    assert built[0] == built[1] == built[2]
    assert {index.state for index in await list_indexes(db)} == {"valid"}


async def test_cancellation_leaves_nothing_invalid(db: Database, filled: Vectors) -> None:
    chance = random.Random(1)
    for _ in range(100):
        build = asyncio.create_task(create_hnsw_index(db, TABLE, COLUMN, m=8))
        await asyncio.sleep(chance.uniform(0, 0.06))
        build.cancel()
        if chance.random() < 0.3:
            await asyncio.sleep(chance.uniform(0, 0.005))
            build.cancel()
        await asyncio.wait([build])
        indexes = await list_indexes(db)
        assert [index.state for index in indexes] in ([], ["valid"])
        for index in indexes:
            await drop_index(db, index.name)

    assert await db.pool.fetchval(ADVISORY_LOCKS) == 0


async def test_a_builds_settings_are_its_own(db: Database) -> None:
    async with db.pool.acquire() as connection:
        await connection.execute("SET maintenance_work_mem = '17MB'; SET statement_timeout = '9s'")
        for create in (create_hnsw_index, create_ivfflat_index):
            await create(connection, TABLE, COLUMN, memory_mb=100, workers=1)
        with pytest.raises(SearchError):
            await create_hnsw_index(connection, TABLE, COLUMN, m=99, ef_construction=200)
        for name, value in (("maintenance_work_mem", "17MB"), ("statement_timeout", "9s")):
            assert await connection.fetchval(f"SHOW {name}") == value


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
@pytest.mark.parametrize("hold", ["LOCK TABLE", "SELECT count(*) FROM"])
async def test_no_timeout_of_the_servers_ends_a_build(
    db: Database, setting: str, hold: str
) -> None:
    async with db.pool.acquire() as connection, db.pool.acquire() as blocker:
        await connection.execute(f"SET {setting} = '500ms'")
        held = blocker.transaction(isolation="repeatable_read")
        await held.start()
        await blocker.execute(f"{hold} {TABLE}")
        build = asyncio.create_task(create_hnsw_index(connection, TABLE, COLUMN))
        # Only the server can tell how long its statement has been waiting.
        while not build.done() and not await db.pool.fetchval(OVERDUE):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await held.rollback()

        assert (await build).state == "valid"


async def test_in_an_open_transaction_the_index_is_the_transactions(db: Database) -> None:
    async with db.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await create_hnsw_index(connection, TABLE, COLUMN)
        assert await connection.fetchval("SHOW maintenance_work_mem") == "64MB"
        with pytest.raises(SearchError, match="outside a transaction"):
            await create_ivfflat_index(connection, TABLE, COLUMN, concurrently=True)
        await transaction.rollback()

    assert await list_indexes(db) == []


async def test_progress_is_reported_from_beside_the_build(db: Database, filled: Vectors) -> None:
    seen: list[BuildProgress] = []

    await create_hnsw_index(
        db, TABLE, COLUMN, ef_construction=150, workers=0, progress=seen.append
    )

    assert seen
    assert all(0 <= progress.done <= progress.total for progress in seen)


async def test_a_failing_progress_callback_does_not_stop_the_build(
    db: Database, filled: Vectors, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(progress: BuildProgress) -> None:
        raise RuntimeError("no terminal")

    await create_hnsw_index(db, TABLE, COLUMN, ef_construction=150, workers=0, progress=fail)

    assert "No more progress is reported: no terminal" in caplog.messages


async def test_ivfflat_over_few_rows_is_built_with_a_warning(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await create_ivfflat_index(db, TABLE, COLUMN, lists=100)

    assert any("100 lists over 0 rows will find little" in m for m in caplog.messages)


async def test_too_little_memory_for_the_graph_is_said(
    db: Database, filled: Vectors, caplog: pytest.LogCaptureFixture
) -> None:
    await create_hnsw_index(db, TABLE, COLUMN, memory_mb=5)

    assert "The index needs about 6 MB to be built fast and is given 5; see memory_mb" in (
        caplog.messages
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"m": 1}, "m must be a whole number from 2 to 100; got 1"),
        ({"m": 101, "ef_construction": 300}, "got 101"),
        ({"m": 16, "ef_construction": 31}, "at least twice m; got 31 for m=16"),
        ({"ef_construction": 1001}, "got 1001"),
        ({"m": "16"}, "got '16'"),
        ({"distance_metric": "hamming"}, "one of cosine, euclidean, inner_product; got 'hamming'"),
        ({"memory_mb": 0}, "memory_mb must be a whole number from 1"),
        ({"workers": -1}, "workers must be a whole number from 0"),
    ],
)
async def test_an_option_out_of_range_is_refused(
    db: Database, options: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        await create_hnsw_index(db, TABLE, COLUMN, **options)  # type: ignore[arg-type]  # wrong on purpose

    assert await list_indexes(db) == []


@pytest.mark.parametrize("lists", [0, 32_769, 1.5])
async def test_lists_out_of_range_are_refused(db: Database, lists: int) -> None:
    with pytest.raises(InvalidInput, match="lists must be a whole number from 1 to 32768"):
        await create_ivfflat_index(db, TABLE, COLUMN, lists=lists)


async def test_a_column_too_long_to_index_is_refused(db: Database) -> None:
    await db.pool.execute("CREATE TABLE wide (e vector(3000), f vector)")

    with pytest.raises(InvalidInput, match=r"at most 2000 .* it has 3000\. half=True allows 4000"):
        await create_hnsw_index(db, "wide", "e")
    with pytest.raises(InvalidInput, match="it has none"):
        await create_hnsw_index(db, "wide", "f")
    assert (await create_hnsw_index(db, "wide", "e", half=True)).half


async def test_only_vector_indexes_can_be_dropped(db: Database) -> None:
    await create_hnsw_index(db, TABLE, COLUMN)

    for name in ("instruction_analytics_pkey", "no_such", "", TABLE, f"{NAME}; DROP TABLE x"):
        with pytest.raises(UnknownName, match=f"there are: {NAME}"):
            await drop_index(db, name)


async def test_indexes_of_one_name_in_two_schemas_are_told_apart(db: Database) -> None:
    for schema in ("one", "two"):
        await db.pool.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.t (e vector(3))")
        await create_hnsw_index(db, f"{schema}.t", "e")

    with pytest.raises(InvalidInput, match=r"several schemas \(one, two\)"):
        await drop_index(db, "t_e_hnsw_cosine_idx")
    await drop_index(db, "one.t_e_hnsw_cosine_idx")
    assert [index.schema for index in await list_indexes(db)] == ["two"]
