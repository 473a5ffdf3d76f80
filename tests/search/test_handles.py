"""Every server set-up a caller may have, and every handle they should not have passed."""

from typing import Any

import asyncpg
import numpy as np
import pytest
from pgvector.asyncpg import register_vector
from sqlalchemy.ext.asyncio import create_async_engine

from tests.search.conftest import COLUMN, TABLE, unit_vectors
from vla_embeddings.errors import DatabaseUnavailable, InvalidInput, SearchError
from vla_embeddings.search import (
    Database,
    batch_index_embeddings,
    cosine_similarity_search,
    create_hnsw_index,
    create_schema,
    index_embedding,
    insert_embeddings,
    list_indexes,
)
from vla_embeddings.search.handles import Handle

VECTORS = unit_vectors(60)


async def whole_job(
    db: Handle, table: str = TABLE, column: str = COLUMN, *, concurrently: bool | None = None
) -> None:
    """Insert, change, index and search."""
    new = [{column: vector} for vector in VECTORS]
    assert await insert_embeddings(db, table, column, new) == 60
    items = [{"id": n, "embedding": VECTORS[60 - n]} for n in range(1, 31)]
    assert await batch_index_embeddings(db, table, "id", column, items) == 30
    assert await index_embedding(db, table, "id", 60, column, VECTORS[0])
    for half in (False, True):
        await create_hnsw_index(
            db,
            table,
            column,
            half=half,
            distance_metric="euclidean" if half else "cosine",
            concurrently=concurrently,
        )
    for exact in (False, True):
        for _ in range(7):  # a cached statement's plan may change after five runs
            rows = await cosine_similarity_search(
                db, table, column, VECTORS[0], 60, -1.0, {"id": {"gte": 1}}, exact=exact
            )
            assert rows[0]["id"] == 60
            assert len(rows) == 60


async def test_no_prepared_statement_is_needed_behind_pgbouncer(dsn: str) -> None:
    async with await Database.connect(dsn, pgbouncer=True) as db:
        await whole_job(db)

        async with db.pool.acquire() as connection:
            statements = await connection.fetch("SELECT statement FROM pg_prepared_statements")
    assert statements == []


async def test_the_extension_may_live_in_a_schema_off_the_search_path(db: Database) -> None:
    await db.pool.execute('CREATE SCHEMA "My Ext"; ALTER EXTENSION vector SET SCHEMA "My Ext"')

    await whole_job(db)


async def test_a_hostile_search_path_does_not_matter(db: Database) -> None:
    async with db.pool.acquire() as connection:
        await connection.execute(
            "CREATE SCHEMA shadow; SET search_path = shadow; "
            "CREATE FUNCTION shadow.twice(public.vector, public.vector) RETURNS float8 "
            "LANGUAGE sql AS 'SELECT 0.5::float8'; "
            "CREATE OPERATOR shadow.<=> (LEFTARG = public.vector, RIGHTARG = public.vector, "
            "FUNCTION = shadow.twice)"
        )
        await whole_job(connection, "public.instruction_analytics")


@pytest.mark.parametrize(
    ("create", "name"),
    [
        ('"MixedCase"', "MixedCase"),
        ('"MixedCase"', '"MixedCase"'),
        ('"MixedCase"', "public.MixedCase"),
        ('"MixedCase"', 'public."MixedCase"'),
        ('"dots.in it"', "dots.in it"),
        ('"it\'s ""quoted"" %s $1"', 'it\'s "quoted" %s $1'),
        ('other."select"', "other.select"),
        ('other."select"', 'other."select"'),
    ],
)
async def test_a_table_may_have_any_name(db: Database, create: str, name: str) -> None:
    await db.pool.execute(
        "CREATE SCHEMA other; "
        f'CREATE TABLE {create} (id int GENERATED ALWAYS AS IDENTITY, "The Vector" vector(384))'
    )

    await whole_job(db, name, "The Vector")


async def test_a_table_on_the_search_path_goes_before_one_with_its_qualified_name(
    db: Database,
) -> None:
    await db.pool.execute(
        'CREATE SCHEMA a; CREATE TABLE a.b (e vector(3)); CREATE TABLE "a.b" (e vector(2))'
    )

    assert await cosine_similarity_search(db, "a.b", "e", [1, 1]) == []
    assert await cosine_similarity_search(db, '"a"."b"', "e", [1, 1, 1]) == []


async def test_a_connection_with_pgvectors_codec_is_used_as_it_is(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await register_vector(connection)
    await whole_job(connection)

    [row] = await cosine_similarity_search(
        connection, TABLE, COLUMN, VECTORS[0], 1, columns=[COLUMN]
    )
    assert isinstance(row[COLUMN], np.ndarray)
    await connection.close()


async def test_no_codec_is_left_on_a_callers_connection(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await whole_job(connection)

    assert isinstance(await connection.fetchval("SELECT '[1,2]'::vector"), str)
    await connection.close()


async def test_a_database_without_the_extension_is_told_so(db: Database) -> None:
    await db.pool.execute("DROP EXTENSION vector CASCADE")

    with pytest.raises(SearchError, match=r"lacks the pgvector extension.*create_schema\(db\)"):
        await cosine_similarity_search(db, TABLE, COLUMN, VECTORS[0])


async def test_the_schema_is_added_to_tables_that_exist(db: Database) -> None:
    await db.pool.execute(
        f"DROP TABLE {TABLE}, context_metadata; "
        f"CREATE TABLE {TABLE} (id uuid PRIMARY KEY, instruction text); "
        "CREATE TABLE context_metadata (id int)"
    )
    for _ in range(2):
        await create_schema(db)

    assert await cosine_similarity_search(db, TABLE, COLUMN, VECTORS[0]) == []
    assert (
        await cosine_similarity_search(db, "context_metadata", "image_embedding", np.ones(512))
        == []
    )


@pytest.mark.parametrize("handle", [None, "postgresql://localhost", 5, object()])
async def test_what_is_no_handle_is_refused(handle: object) -> None:
    with pytest.raises(InvalidInput, match="asyncpg Pool or Connection, or a SQLAlchemy"):
        await list_indexes(handle)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://robot:secret@127.0.0.1:1/fleet",
        "postgresql://robot@127.0.0.1:1/fleet?password=secret",
        "postgresql://robot:secret@/fleet?host=/nowhere",
        "postgresql://robot@127.0.0.1:1/fleet?sslpassword=secret",
    ],
)
async def test_a_server_that_is_down_is_named_without_the_password(dsn: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="fleet") as caught:
        await Database.connect(dsn)

    assert "secret" not in str(caught.value)


async def test_a_sqlalchemy_engine_on_a_server_that_is_down_is_named_too() -> None:
    engine = create_async_engine("postgresql+asyncpg://robot:secret@127.0.0.1:1/fleet")

    with pytest.raises(DatabaseUnavailable, match=r"robot:.*@127\.0\.0\.1:1/fleet") as caught:
        await list_indexes(engine)
    assert "secret" not in str(caught.value)
    await engine.dispose()


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="scheme is expected"):
        await Database.connect("mysql://localhost/x")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://robot:sec/ret@localhost/fleet",
        "postgresql://localhost:port/fleet",
        "postgresql://[::1/fleet",
        None,
        5,
    ],
)
async def test_an_address_that_cannot_be_read_is_refused_and_not_shown(dsn: Any) -> None:
    with pytest.raises(InvalidInput, match="Expected a PostgreSQL address such as") as caught:
        await Database.connect(dsn)

    assert "sec" not in str(caught.value)


@pytest.mark.parametrize(("least", "most"), [(5, 2), (-1, 2), (0, 0), (1.0, 2), (1, None)])
async def test_sizes_that_no_pool_can_have_are_refused(least: Any, most: Any) -> None:
    with pytest.raises(InvalidInput, match=f"got min_size={least}, max_size={most}"):
        await Database.connect("postgresql://localhost/fleet", min_size=least, max_size=most)


async def test_a_database_that_does_not_exist_is_said(postgres_dsn: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"no_such_database.*Check the database's name"):
        await Database.connect(postgres_dsn.replace("@/postgres", "@/no_such_database"))


async def test_a_transaction_that_the_caller_began_by_hand_is_joined(db: Database) -> None:
    item = {"id": 1, "embedding": VECTORS[1]}
    await db.pool.execute(f"INSERT INTO {TABLE} (instruction) VALUES ('put')")
    async with db.pool.acquire() as connection:
        await connection.execute("BEGIN")
        await create_schema(connection)
        await batch_index_embeddings(connection, TABLE, "id", COLUMN, [item], fingerprint="model")
        with pytest.raises(InvalidInput, match="breaks a constraint"):
            await insert_embeddings(connection, TABLE, COLUMN, [{"id": 1, COLUMN: VECTORS[0]}])
        await insert_embeddings(connection, TABLE, COLUMN, [{COLUMN: VECTORS[0]}])
        await create_hnsw_index(connection, TABLE, COLUMN)
        assert len(await cosine_similarity_search(connection, TABLE, COLUMN, VECTORS[0])) == 1
        assert await connection.fetchval(f"SELECT count({COLUMN}) FROM {TABLE}") == 2
        await connection.execute("ROLLBACK")

    assert await db.pool.fetchval(f"SELECT count({COLUMN}) FROM {TABLE}") == 0
    assert await list_indexes(db) == []


async def test_a_connection_that_its_pool_has_back_is_unavailable(db: Database) -> None:
    connection = await db.pool.acquire()
    await db.pool.release(connection)

    with pytest.raises(DatabaseUnavailable, match="released back to the pool"):
        await cosine_similarity_search(connection, TABLE, COLUMN, VECTORS[0])


async def test_closing_twice_does_no_harm(dsn: str) -> None:
    db = await Database.connect(dsn)
    await db.close()
    await db.close()

    with pytest.raises(DatabaseUnavailable, match="closed"):
        await list_indexes(db)
