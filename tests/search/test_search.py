"""A search is complete, ordered and true to NumPy's own answer, with and without an index."""

import asyncio
import logging
from typing import Any

import asyncpg
import numpy as np
import pytest

from tests.search.conftest import COLUMN, FILLED, TABLE, Vectors, settings_of, unit_vectors
from vla_embeddings.errors import DimensionMismatch, InvalidInput, SearchError, UnknownName
from vla_embeddings.search import (
    Database,
    cosine_similarity_search,
    create_hnsw_index,
    create_ivfflat_index,
    euclidean_distance_search,
    index_embedding,
    inner_product_search,
    tuning,
)
from vla_embeddings.search.catalog import Extension, forget
from vla_embeddings.search.handles import Connection, Handle

QUERY = unit_vectors(1, seed=99)[0]


async def _ids(db: Handle, **options: Any) -> list[int]:
    given = {"query_embedding": QUERY, "top_k": 10, "threshold": -1.0, **options}
    rows = await cosine_similarity_search(db, TABLE, COLUMN, **given)
    return [row["id"] for row in rows]


async def test_exact_cosine_search_equals_numpy(db: Database, filled: Vectors) -> None:
    rows = await cosine_similarity_search(db, TABLE, COLUMN, QUERY, 50, -1.0)

    expected = filled @ QUERY
    best = np.argsort(-expected)[:50]
    assert [row["id"] - 1 for row in rows] == best.tolist()
    assert [row["similarity"] for row in rows] == pytest.approx(expected[best], abs=1e-5)


async def test_exact_euclidean_search_equals_numpy(db: Database, filled: Vectors) -> None:
    rows = await euclidean_distance_search(db, TABLE, COLUMN, 2 * QUERY, 50)

    expected = np.linalg.norm(filled - 2 * QUERY, axis=1)
    assert [row["distance"] for row in rows] == pytest.approx(np.sort(expected)[:50], abs=1e-5)


async def test_inner_product_search_equals_numpy(db: Database, filled: Vectors) -> None:
    await create_hnsw_index(db, TABLE, COLUMN, distance_metric="inner_product")

    rows = await inner_product_search(db, TABLE, COLUMN, QUERY, 10, 0.0, exact=True)

    expected = np.sort(filled @ QUERY)[::-1][:10]
    assert [row["inner_product"] for row in rows] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("method", ["hnsw", "half", "ivfflat"])
async def test_an_indexed_search_returns_as_many_rows_as_there_are(
    db: Database, filled: Vectors, method: str
) -> None:
    await _index(db, method)

    for top_k in (1, 10, 100, 999, 2999, 3000, 10_000):
        rows = await cosine_similarity_search(db, TABLE, COLUMN, QUERY, top_k, -1.0)

        assert len({row["id"] for row in rows}) == min(top_k, 3000)
        similarities = [row["similarity"] for row in rows]
        assert similarities == sorted(similarities, reverse=True)


@pytest.mark.parametrize("method", ["hnsw", "half", "ivfflat"])
async def test_a_selective_filter_never_shortens_the_list(
    db: Database, filled: Vectors, method: str
) -> None:
    await _index(db, method)

    for matching in (0, 1, 3, 30):
        await db.pool.execute(f"UPDATE {TABLE} SET robot_type = 'rare' WHERE id <= $1", matching)
        found = await _ids(db, filters={"robot_type": "rare"})

        assert len(found) == min(10, matching)
        assert set(found) <= set(range(1, matching + 1))


@pytest.mark.parametrize("method", ["hnsw", "ivfflat", "half"])
async def test_recall_at_the_defaults_is_high(db: Database, filled: Vectors, method: str) -> None:
    await _index(db, method)

    hits = 0
    for query in unit_vectors(30, seed=5):
        exact = await _ids(db, query_embedding=query, exact=True)
        hits += len(set(exact) & set(await _ids(db, query_embedding=query)))

    assert hits / 300 >= 0.95


@pytest.mark.parametrize("method", ["hnsw", "half", "ivfflat"])
async def test_a_threshold_takes_from_a_list_and_an_exact_list_lacks_no_row_that_reaches_it(
    db: Database, filled: Vectors, method: str
) -> None:
    await _index(db, method)

    for query in unit_vectors(10, seed=6):
        similarities = filled @ query
        threshold = float(np.sort(similarities)[-21:-19].mean())
        given: dict[str, Any] = {"query_embedding": query, "top_k": 100, "probes": 1}
        listed = await cosine_similarity_search(
            db, TABLE, COLUMN, **given, threshold=-1.0, columns=["id"]
        )
        reaching = [row["id"] for row in listed if row["similarity"] >= threshold]

        assert await _ids(db, **given, threshold=threshold) == reaching
        assert set(reaching) <= set((np.nonzero(similarities >= threshold)[0] + 1).tolist())
        assert len(await _ids(db, **given, threshold=threshold, exact=True)) == 20


async def test_a_threshold_returns_just_the_rows_that_reach_it(library: Database) -> None:
    similarities = np.sort(FILLED @ FILLED[7])[::-1]
    threshold = float((similarities[4] + similarities[5]) / 2)

    rows = await cosine_similarity_search(library, TABLE, COLUMN, FILLED[7], 100, threshold)

    assert len(rows) == 5
    assert all(row["similarity"] >= threshold for row in rows)


async def test_equal_rows_come_in_the_order_of_their_primary_key(
    db: Database, filled: Vectors
) -> None:
    await db.pool.execute(f"UPDATE {TABLE} SET {COLUMN} = (SELECT {COLUMN} FROM {TABLE} LIMIT 1)")

    exact = await _ids(db, query_embedding=filled[0], exact=True)
    await create_hnsw_index(db, TABLE, COLUMN)
    indexed = await _ids(db, query_embedding=filled[0])

    assert exact == list(range(1, 11))
    assert indexed == sorted(indexed)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("inet", ["10.0.0.1", "10.0.0.2", "::1"]),
        ("bit(4)", ["0001", "0010", "0100"]),
        ("int4range", ["[1,2)", "[1,3)", "[2,3)"]),
    ],
)
async def test_equal_rows_are_in_order_whatever_the_type_of_their_key(
    db: Database, key: str, values: list[str]
) -> None:
    await db.pool.execute(f"CREATE TABLE t (id {key} PRIMARY KEY, n int, e vector(2))")
    for n in (2, 0, 1):
        await db.pool.execute(f"INSERT INTO t VALUES ('{values[n]}', {n}, '[1,1]')")

    for _ in range(2):
        rows = await cosine_similarity_search(db, "t", "e", [1, 1])
        assert [row["n"] for row in rows] == [0, 1, 2]
        await create_hnsw_index(db, "t", "e")


async def test_rows_without_a_vector_or_direction_are_left_out(db: Database) -> None:
    vector = QUERY.tolist()
    await db.pool.execute(
        f"INSERT INTO {TABLE} (id, {COLUMN}) VALUES (1, NULL), (2, $1::real[]::vector), "
        f"(3, array_fill(0, ARRAY[384])::vector)",
        vector,
    )

    assert await _ids(db) == [2]
    await create_hnsw_index(db, TABLE, COLUMN)
    assert await _ids(db) == [2]


async def test_exact_stays_exact_after_asyncpg_has_cached_the_statement(library: Database) -> None:
    async with library.pool.acquire() as connection:
        for _ in range(12):
            await _ids(connection, exact=True)
        plans = await connection.fetch(
            "SELECT statement, generic_plans FROM pg_prepared_statements "
            "WHERE statement LIKE 'SELECT t.%+ 0%'"
        )
        assert len(plans) == 1
        plan = await connection.fetch(
            f"EXPLAIN {plans[0]['statement'].replace('$1', chr(39) + _literal() + chr(39))}"
        )

    assert not any("hnsw" in line[0] for line in plan)


@pytest.mark.parametrize("method", ["hnsw", "half", "ivfflat"])
async def test_a_search_asks_the_index(db: Database, filled: Vectors, method: str) -> None:
    await _index(db, method)
    await db.pool.execute(f"VACUUM ANALYZE {TABLE}")

    async with db.pool.acquire() as connection:
        await _ids(connection, exact=False)
        assert await _scans(connection, "%cosine%") == 1


async def test_a_partial_index_serves_the_filter_that_it_is_for(
    db: Database, filled: Vectors
) -> None:
    await db.pool.execute(
        f"CREATE INDEX octo ON {TABLE} USING hnsw ({COLUMN} vector_cosine_ops) "
        "WHERE model_type = 'octo'"
    )

    async with db.pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")  # which is as fast for so few rows
        found = await _ids(connection, filters={"model_type": "octo"})
        assert await _scans(connection, "octo") == 1
    assert len(found) == 10


async def test_a_filter_that_few_rows_pass_asks_no_index_however_often_it_is_searched_by(
    db: Database, indexed: Vectors
) -> None:
    """PostgreSQL may plan the sixth such search for any value, which a third of all are below."""
    filters = {"instruction": {"lt": "instruction 102"}}
    async with db.pool.acquire() as connection:
        found = [await _ids(connection, filters=filters) for _ in range(12)]
        assert await _scans(connection, "%cosine%") == 0
        exact = await _ids(connection, filters=filters, exact=True)
    assert len(exact) == 10
    assert found == 12 * [exact]


@pytest.mark.usefixtures("filled")
async def test_a_server_that_is_made_to_plan_for_any_values_answers_all_the_same(
    db: Database,
) -> None:
    """Also in parallel, where it would run beforehand what a plan for any values is put off by."""
    filters = {"instruction": {"lt": "instruction 102"}}
    async with db.pool.acquire() as connection:
        once = await _ids(connection, filters=filters, exact=True)
        for setting in (
            "plan_cache_mode = force_generic_plan",
            "min_parallel_table_scan_size = 0",
            "parallel_setup_cost = 0",
            "parallel_tuple_cost = 0",
            "statement_timeout = '20s'",
        ):
            await connection.execute(f"SET {setting}")
        assert await _ids(connection, filters=filters, exact=True) == once
    assert len(once) == 10


async def test_a_filter_asks_the_index_where_that_costs_less_than_sorting_what_passes(
    db: Database,
) -> None:
    await db.pool.execute(
        "CREATE TABLE points (id int PRIMARY KEY, n int, e vector(2));"
        "INSERT INTO points SELECT i, i % 100, ARRAY[sin(i), cos(i)]::vector "
        "FROM generate_series(1, 10000) AS i"
    )
    await create_hnsw_index(db, "points", "e")
    await db.pool.execute("VACUUM ANALYZE points")

    async with db.pool.acquire() as connection:
        for kept, scans in ((5, 0), (50, 1)):
            await cosine_similarity_search(
                connection, "points", "e", [1, 1], 10, -1.0, filters={"n": {"lt": kept}}
            )
            assert await _scans(connection, "points%cosine%") == scans


async def test_ef_search_decides_how_much_an_index_finds(library: Database) -> None:

    def share(found: list[int], exact: list[int]) -> float:
        return len(set(found) & set(exact)) / len(exact)

    exact = await _ids(library, top_k=20, exact=True)
    little = await _ids(library, top_k=20, ef_search=1)
    much = await _ids(library, top_k=20, ef_search=1000)

    assert share(little, exact) <= share(much, exact)
    assert share(much, exact) >= 0.9


async def test_no_setting_of_a_search_outlives_it(db: Database, indexed: Vectors) -> None:
    await create_ivfflat_index(db, TABLE, COLUMN, lists=10)
    async with db.pool.acquire() as connection:
        await connection.execute("LOAD 'vector'")
        await connection.execute("SET hnsw.ef_search = 77")
        before = await settings_of(connection)

        await _ids(connection)
        assert await settings_of(connection) == before
        async with connection.transaction():
            await connection.execute("SET LOCAL hnsw.ef_search = 55")
            inside = await settings_of(connection)
            await _ids(connection)
            assert await settings_of(connection) == inside
            with pytest.raises(InvalidInput):
                await _ids(connection, filters={"id": "not a number"})
            with pytest.raises(InvalidInput):
                await _ids(connection, filters={"instruction": "\0"})
            assert await settings_of(connection) == inside
            assert await connection.fetchval("SELECT 1") == 1
        assert await settings_of(connection) == before


async def test_a_pgvector_without_iterative_scan_is_complete_too_and_warns_once(
    library: Database,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Extension, "has_iterative_scan", False)
    forget()
    tuning._warn_of_old_pgvector.cache_clear()

    assert len(await _ids(library, top_k=500)) == 500
    assert len(await _ids(library, filters={"customer_id": "customer_7"}, top_k=30)) == 30
    assert sum("no iterative scan" in message for message in caplog.messages) == 1


async def test_columns_choose_what_a_row_holds_and_a_vector_must_be_asked_for(
    library: Database,
) -> None:
    [row] = await cosine_similarity_search(
        library, TABLE, COLUMN, FILLED[3], 1, columns=[COLUMN, "instruction"]
    )

    assert list(row) == [COLUMN, "instruction", "similarity"]
    assert row[COLUMN].dtype == np.float32
    np.testing.assert_array_equal(row[COLUMN], FILLED[3])


async def test_columns_may_have_any_name_even_the_scores(db: Database) -> None:
    await db.pool.execute(
        'CREATE TABLE odd ("similarity" text, "distance" text, "hit" int, "done" int, '
        '"t" int, "a""b" int, "c.d" int, e vector(3), h halfvec(3)); '
        "INSERT INTO odd VALUES ('x', 'y', 1, 2, 3, 4, 5, '[1,0,0]', '[1,2,3]')"
    )
    for _ in range(2):
        [row] = await cosine_similarity_search(db, "odd", "e", [1, 0, 0], filters={'a"b': 4})
        assert row == {
            "similarity": 1.0, "distance": "y", "hit": 1, "done": 2, "t": 3, 'a"b': 4, "c.d": 5,
        }  # fmt: skip
        [near] = await euclidean_distance_search(db, "odd", "h", [1, 2, 3], columns=["h", "t"])
        np.testing.assert_array_equal(near["h"], np.array([1, 2, 3], np.float32))
        assert near["distance"] == 0.0
        await create_hnsw_index(db, "odd", "e")


async def test_a_column_of_the_scores_name_cannot_be_asked_for(db: Database) -> None:
    await db.pool.execute('CREATE TABLE odd (id int, "distance" text, e vector(3))')

    with pytest.raises(InvalidInput, match="a row's 'distance' is its score"):
        await euclidean_distance_search(db, "odd", "e", [1, 0, 0], columns=["id", "distance"])
    await cosine_similarity_search(db, "odd", "e", [1, 0, 0], columns=["id", "distance"])


async def test_views_partitions_and_tables_without_a_key_can_be_searched(db: Database) -> None:
    await db.pool.execute(
        "CREATE TABLE parts (n int, e vector(3)) PARTITION BY RANGE (n);"
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);"
        "INSERT INTO parts SELECT n, ARRAY[1, n, 0]::vector FROM generate_series(0, 19) n;"
        "CREATE VIEW seen AS SELECT * FROM parts WHERE n > 4;"
        "CREATE MATERIALIZED VIEW kept AS SELECT * FROM parts"
    )
    await create_hnsw_index(db, "parts", "e", concurrently=False)

    for table, nearest in (("parts", 0), ("seen", 5), ("kept", 0)):
        rows = await cosine_similarity_search(db, table, "e", [1, 0, 0], 20, -1.0)
        assert rows[0]["n"] == nearest
        assert len(rows) == 20 - nearest


async def test_a_column_without_a_declared_dimension_can_be_searched(db: Database) -> None:
    await db.pool.execute(
        "CREATE TABLE free (id int, e vector); INSERT INTO free VALUES (1, '[1,2]')"
    )

    assert await cosine_similarity_search(db, "free", "e", [1.0, 2.0], columns=["id"]) == [
        {"id": 1, "similarity": pytest.approx(1.0)}
    ]


async def test_a_half_index_serves_a_column_without_a_declared_dimension(db: Database) -> None:
    await db.pool.execute(
        "CREATE TABLE free (id int, e vector);"
        "CREATE INDEX free_half ON free USING hnsw ((e::halfvec(2)) halfvec_cosine_ops);"
        "INSERT INTO free SELECT n, ARRAY[n, 1]::vector FROM generate_series(1, 2000) n;"
        "ANALYZE free"
    )

    async with db.pool.acquire() as connection:
        rows = await cosine_similarity_search(connection, "free", "e", [3, 1], 1)
        assert await _scans(connection, "free_half") == 1
    assert [row["id"] for row in rows] == [3]


@pytest.mark.parametrize("size", [70_000.0, 1e-9])
async def test_a_query_that_a_half_index_cannot_hold_is_answered_without_it(
    db: Database, filled: Vectors, size: float
) -> None:
    await _index(db, "half")
    query = np.eye(1, 384)[0] * size

    assert await _ids(db, query_embedding=query) == await _ids(
        db, query_embedding=query, exact=True
    )


async def test_many_searches_at_once_share_a_small_pool(library: Database) -> None:
    answers = await asyncio.gather(
        *(_ids(library, query_embedding=vector, exact=True) for vector in FILLED[:60])
    )

    assert [answer[0] for answer in answers] == list(range(1, 61))


async def test_an_index_another_process_made_is_never_a_reason_for_a_short_list(
    db: Database, filled: Vectors, dsn: str
) -> None:
    assert len(await _ids(db, top_k=300)) == 300
    other = await asyncpg.connect(dsn)
    await other.execute(f"CREATE INDEX ON {TABLE} USING hnsw ({COLUMN} vector_cosine_ops)")
    await other.close()

    assert len(await _ids(db, top_k=300)) == 300


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        (np.ones(383), DimensionMismatch, "384 dimensions; got 383"),
        (np.ones(0), DimensionMismatch, "got 0"),
        (np.zeros(384), InvalidInput, "zero length"),
        (np.full(384, np.nan), InvalidInput, "NaN"),
        (np.full(384, 1e30), InvalidInput, "too large"),
        (np.ones((1, 384)), InvalidInput, r"shape \(1, 384\)"),
        (np.ones(384, bool), InvalidInput, "expected numbers"),
        (np.ones(384, complex), InvalidInput, "expected numbers"),
        ("abc", InvalidInput, "got str"),
        (None, InvalidInput, "got NoneType"),
        ([[1], [1, 2]], InvalidInput, "got list"),
        (["1"] * 384, InvalidInput, "expected numbers"),
    ],
)
async def test_an_unusable_query_vector_is_refused(
    library: Database, query: object, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await _ids(library, query_embedding=query)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"top_k": 0}, "top_k must be a whole number from 1 to 10,000; got 0"),
        ({"top_k": 10_001}, "got 10001"),
        ({"top_k": True}, "got True"),
        ({"top_k": 2.0}, "got 2.0"),
        ({"threshold": 1.01}, "threshold must be a similarity from -1 to 1"),
        ({"threshold": float("nan")}, "threshold must be"),
        ({"threshold": "0.7"}, "threshold must be a similarity from -1 to 1; got '0.7'"),
        ({"columns": 5}, "columns must be a list of names; got 5"),
        ({"columns": "id"}, "columns must be a list of names; got 'id'"),
        ({"columns": [["id"]]}, r"columns must be a list of names; got \[\['id'\]\]"),
        ({"ef_search": 1001}, "ef_search must be a whole number from 1 to 1000"),
        ({"ef_search": 0}, "ef_search must be"),
        ({"probes": 0}, "probes must be"),
    ],
)
async def test_a_number_out_of_range_is_refused(
    library: Database, options: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        await _ids(library, **options)


async def test_a_limit_that_is_no_number_is_refused(library: Database) -> None:
    for limit in ("1", float("nan")):
        with pytest.raises(InvalidInput, match="max_distance must be 0 or more"):
            await euclidean_distance_search(library, TABLE, COLUMN, QUERY, max_distance=limit)  # type: ignore[arg-type]  # wrong on purpose
        with pytest.raises(InvalidInput, match="min_product must be a number"):
            await inner_product_search(library, TABLE, COLUMN, QUERY, min_product=limit)  # type: ignore[arg-type]  # wrong on purpose


async def test_a_table_may_be_named_with_quotes_as_in_sql_or_without(db: Database) -> None:
    await db.pool.execute(
        'CREATE SCHEMA "My ""s"; CREATE TABLE plain (e vector(2));'
        'CREATE TABLE "My ""s"."T.t" (e vector(2))'
    )

    for name in (
        "plain", '"plain"', "public.plain", 'public."plain"', '"public".plain', '"public"."plain"',
        'My "s.T.t', '"My ""s"."T.t"', 'My "s."T.t"', '"My ""s".T.t',
    ):  # fmt: skip
        assert await cosine_similarity_search(db, name, "e", [1, 1]) == []
    for name in ("Plain", '"Plain"', '"public.plain"', 'public"."plain', '"plain'):
        with pytest.raises(UnknownName):
            await cosine_similarity_search(db, name, "e", [1, 1])


@pytest.mark.parametrize(
    ("kind", "value"),
    [("date", "20000-01-01"), ("timestamptz", "4713-01-01 BC"), ("time", "24:00")],
)
async def test_a_value_that_python_cannot_hold_is_said_and_may_be_left_out(
    db: Database, kind: str, value: str
) -> None:
    await db.pool.execute(
        f"CREATE TABLE old (id int PRIMARY KEY, since {kind}, e vector(2)); "
        f"INSERT INTO old VALUES (1, '{value}', '[1, 0]')"
    )

    with pytest.raises(SearchError, match=r"holds what Python cannot.*Name the columns"):
        await cosine_similarity_search(db, "old", "e", [1, 0])

    [row] = await cosine_similarity_search(db, "old", "e", [1, 0], columns=["id"])
    assert row == {"id": 1, "similarity": 1.0}


async def test_a_wrong_name_is_answered_with_the_right_ones(library: Database) -> None:
    with pytest.raises(
        UnknownName, match=r"no table 'instructions'.*public.instruction_analytics"
    ):
        await cosine_similarity_search(library, "instructions", COLUMN, QUERY)
    with pytest.raises(UnknownName, match="no column 'embedding'; it has id, customer_id"):
        await cosine_similarity_search(library, TABLE, "embedding", QUERY)
    with pytest.raises(UnknownName, match="no column 'colour'"):
        await _ids(library, columns=["id", "colour"])
    with pytest.raises(InvalidInput, match=r"not vector or halfvec; .*instruction_embedding"):
        await cosine_similarity_search(library, TABLE, "instruction", QUERY)


async def test_the_number_found_is_logged(
    db: Database, filled: Vectors, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await db.pool.execute("CREATE TABLE plain (id int, e vector(3))")

    await _ids(db, top_k=3)
    await euclidean_distance_search(db, "plain", "e", [1, 1, 1], max_distance=2.5)
    await cosine_similarity_search(db, "context_metadata", "image_embedding", np.ones(512))

    assert "Found 3 similar instructions with similarity >= -1.0" in caplog.messages
    assert "Found 0 similar rows with distance <= 2.5" in caplog.messages
    assert "Found 0 similar images with similarity >= 0.7" in caplog.messages


async def test_a_search_sees_the_callers_uncommitted_rows(db: Database) -> None:
    async with db.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(f"INSERT INTO {TABLE} (id) VALUES (1)")
        await index_embedding(connection, TABLE, "id", 1, COLUMN, QUERY)

        assert await _ids(connection) == [1]
        assert await _ids(db) == []
        await transaction.rollback()


async def _index(db: Database, method: str) -> None:
    if method == "ivfflat":
        await create_ivfflat_index(db, TABLE, COLUMN, lists=30)
    else:
        await create_hnsw_index(db, TABLE, COLUMN, half=method == "half")


async def _scans(connection: Connection, index: str) -> int:
    """How often this connection and those before it scanned the index of a name like this."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    scans: int = await connection.fetchval(
        "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname LIKE $1", index
    )
    return scans


def _literal() -> str:
    return "{" + ",".join(map(str, QUERY.tolist())) + "}"
