"""What writing vectors changes, and what it leaves alone."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import asyncpg
import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from tests.search.conftest import COLUMN, TABLE, Vectors, rows_of, unit_vectors
from vla_embeddings.errors import DimensionMismatch, InvalidInput, SearchError, UnknownName
from vla_embeddings.search import (
    Database,
    batch_index_embeddings,
    cosine_similarity_search,
    create_schema,
    index_embedding,
    insert_embeddings,
)
from vla_embeddings.search.handles import Handle

VECTORS = unit_vectors(5000, seed=3)


async def _stored(db: Handle) -> dict[int, Vectors]:
    rows = await cosine_similarity_search(
        db, TABLE, COLUMN, VECTORS[0], 10_000, -1.0, columns=["id", COLUMN]
    )
    return {row["id"]: row[COLUMN] for row in rows}


async def _rows(db: Database, count: int) -> None:
    await db.pool.execute(
        f"INSERT INTO {TABLE} (instruction) SELECT 'put' FROM generate_series(1, {count})"
    )


def _items(ids: list[int]) -> list[dict[str, object]]:
    return [{"id": row_id, "embedding": VECTORS[row_id]} for row_id in ids]


async def test_one_vector_is_stored_bit_for_bit_and_cleared_by_none(db: Database) -> None:
    await _rows(db, 2)

    assert await index_embedding(db, TABLE, "id", 1, COLUMN, VECTORS[1]) is True
    np.testing.assert_array_equal((await _stored(db))[1], VECTORS[1])
    assert await index_embedding(db, TABLE, "id", np.int64(1), COLUMN, None) is True
    assert await _stored(db) == {}
    assert await index_embedding(db, TABLE, "id", 99, COLUMN, VECTORS[1]) is False


@pytest.mark.parametrize("chunk_rows", [1, 7, 2000, 100_000])
async def test_a_batch_is_stored_bit_for_bit_whatever_the_chunk(
    db: Database, chunk_rows: int
) -> None:
    count = min(4500, 60 * chunk_rows + 1)
    await _rows(db, count)

    changed = await batch_index_embeddings(
        db, TABLE, "id", COLUMN, _items(list(range(count, 0, -1))), chunk_rows=chunk_rows
    )

    stored = await _stored(db)
    assert changed == len(stored) == count
    assert all(np.array_equal(stored[row_id], VECTORS[row_id]) for row_id in stored)


async def test_the_last_of_two_vectors_for_one_id_wins(db: Database) -> None:
    await _rows(db, 2)
    items = [{"id": 1, "embedding": VECTORS[n]} for n in (5, 6, 7)]

    for chunk_rows in (2, 100):
        changed = await batch_index_embeddings(
            db, TABLE, "id", COLUMN, items, chunk_rows=chunk_rows
        )
        np.testing.assert_array_equal((await _stored(db))[1], VECTORS[7])
    assert changed == 1


async def test_unknown_ids_are_not_counted_and_are_named(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await _rows(db, 3)

    assert await batch_index_embeddings(db, TABLE, "id", COLUMN, _items([1, 7, 2, 8])) == 2
    [message] = [m for m in caplog.messages if "no row" in m]
    assert message.startswith("2 of 4 ids have no row in")
    assert {"7", "8"} == set(message.rpartition("them ")[2].split(", "))


async def test_async_iterables_and_generators_are_taken_as_they_come(db: Database) -> None:
    await _rows(db, 50)

    async def produce() -> AsyncIterator[dict[str, object]]:
        for item in _items(list(range(1, 51))):
            yield item

    assert await batch_index_embeddings(db, TABLE, "id", COLUMN, produce(), chunk_rows=20) == 50
    assert await batch_index_embeddings(db, TABLE, "id", COLUMN, iter(_items([1, 2]))) == 2
    assert await batch_index_embeddings(db, TABLE, "id", COLUMN, []) == 0


async def test_a_fault_names_row_and_id_and_spares_the_chunks_before_it(db: Database) -> None:
    await _rows(db, 9)
    items = _items(list(range(1, 10)))
    items[7]["embedding"] = np.full(384, np.nan)

    with pytest.raises(InvalidInput, match=r"row 7 \(id 8\): it holds NaN"):
        await batch_index_embeddings(db, TABLE, "id", COLUMN, items, chunk_rows=3)

    assert set(await _stored(db)) == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize(
    ("item", "error", "words"),
    [
        ({"id": 2, "embedding": np.ones(3)}, DimensionMismatch, r"row 1 \(id 2\).*got 3"),
        ({"id": 2, "embedding": np.zeros(384)}, InvalidInput, "zero length"),
        ({"id": 2, "embedding": None}, InvalidInput, "expected numbers"),
        ({"id": 2, "embedding": "x"}, InvalidInput, "expected numbers"),
        ({"id": None, "embedding": VECTORS[0]}, InvalidInput, "An id must be a single value"),
        ({"id": [1], "embedding": VECTORS[0]}, InvalidInput, "An id must be a single value"),
        ({"id": np.array([2]), "embedding": VECTORS[0]}, InvalidInput, "must be a single value"),
        ({"id": bytearray(b"2"), "embedding": VECTORS[0]}, InvalidInput, "must be a single value"),
        ({"id": frozenset({2}), "embedding": VECTORS[0]}, InvalidInput, "must be a single value"),
        (
            {"id": "x", "embedding": VECTORS[0]},
            InvalidInput,
            r"row 1 \(id 'x'\): column \"id\" is",
        ),
        ({"id": 2**63, "embedding": VECTORS[0]}, InvalidInput, 'Column "id" is of type'),
        ({"id": 2.5, "embedding": VECTORS[0]}, InvalidInput, 'Column "id" is of type'),
        ({"id": 2}, InvalidInput, 'row 1: expected {"id"'),
        ((2, VECTORS[0]), InvalidInput, 'row 1: expected {"id"'),
    ],
)
async def test_an_unusable_item_leaves_its_chunk_unwritten(
    db: Database, item: object, error: type[Exception], words: str
) -> None:
    await _rows(db, 3)

    with pytest.raises(error, match=words):
        await batch_index_embeddings(db, TABLE, "id", COLUMN, [*_items([1]), item])  # type: ignore[list-item]  # wrong on purpose

    assert await _stored(db) == {}


async def test_a_row_in_place_of_its_id_is_refused(db: Database) -> None:
    """asyncpg would take it for several ids, and vectors would go to other rows."""
    await _rows(db, 128)
    rows = await db.pool.fetch(f"SELECT id, instruction FROM {TABLE} ORDER BY id")
    items: list[dict[str, object]] = [
        {"id": row, "embedding": VECTORS[place % len(VECTORS)]} for place, row in enumerate(rows)
    ]

    with pytest.raises(InvalidInput, match="An id must be a single value; got <Record id=1"):
        await batch_index_embeddings(db, TABLE, "id", COLUMN, items)

    assert await _stored(db) == {}


async def test_a_list_in_place_of_a_value_is_refused(db: Database) -> None:
    rows = [{"instruction": ["put", "take"], COLUMN: VECTORS[0]}] * 128

    with pytest.raises(InvalidInput, match=r"got \['put', 'take'\], no single value"):
        await insert_embeddings(db, TABLE, COLUMN, rows)

    assert await db.pool.fetchval(f"SELECT count(*) FROM {TABLE}") == 0


async def test_a_value_of_the_wrong_type_is_named_by_its_place_in_the_whole(db: Database) -> None:
    await _rows(db, 8)
    items = _items([1, 2, 3, 4, 5, 6, 7, 8])
    items[5]["id"] = "six"

    with pytest.raises(InvalidInput, match=r"^row 5 \(id 'six'\): column .* got 'six' \("):
        await batch_index_embeddings(db, TABLE, "id", COLUMN, items, chunk_rows=4)


async def test_of_ids_that_are_equal_to_the_server_alone_the_last_vector_wins(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    key = uuid.uuid4()
    await db.pool.execute("CREATE TABLE parcels (id uuid PRIMARY KEY, e vector(384))")
    await db.pool.execute("INSERT INTO parcels VALUES ($1)", key)
    items = [
        {"id": key, "embedding": VECTORS[0]},
        {"id": uuid.uuid4(), "embedding": VECTORS[1]},
        {"id": str(key), "embedding": VECTORS[2]},
    ]

    assert await batch_index_embeddings(db, "parcels", "id", "e", items) == 1

    stored = await db.pool.fetchval("SELECT e::real[] FROM parcels")
    np.testing.assert_array_equal(np.array(stored, np.float32), VECTORS[2])
    [message] = [m for m in caplog.messages if "no row" in m]
    assert message.startswith("1 of 3 ids have no row in")


WAITING = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def test_writers_of_the_same_rows_in_other_orders_both_come_through(
    db: Database, filled: Vectors
) -> None:
    ids = list(range(1, len(filled) + 1))
    async with db.pool.acquire() as holder:
        held = holder.transaction()
        await held.start()
        await holder.execute(f"SELECT FROM {TABLE} WHERE id = {len(ids) // 2} FOR UPDATE")
        writers: list[asyncio.Task[int]] = []
        for order in (ids, ids[::-1]):
            items = _items(order)
            writing = batch_index_embeddings(db, TABLE, "id", COLUMN, items)
            writers.append(asyncio.create_task(writing))
            # Only the server can tell that the writer waits, for the holder or for the other.
            while await db.pool.fetchval(WAITING) < len(writers):
                assert not any(each.done() for each in writers)
                await asyncio.sleep(0.01)
        await held.rollback()

        assert await asyncio.gather(*writers) == [len(ids)] * 2


async def test_new_rows_are_inserted_with_vectors_and_defaults(db: Database) -> None:
    await db.pool.execute(
        "CREATE TABLE crates (id uuid PRIMARY KEY, made date DEFAULT '2026-01-01', weight real, "
        "note jsonb, e halfvec(4))"
    )
    rows = [
        {"id": uuid.UUID(int=n), "weight": n / 2, "note": '{"n": 1}', "e": np.eye(4)[n]}
        for n in range(4)
    ]

    assert await insert_embeddings(db, "crates", "e", rows) == 4
    [found] = await cosine_similarity_search(db, "crates", "e", [0, 0, 1, 0], 1)
    assert found["id"] == uuid.UUID(int=2)
    assert found["weight"] == 1.0
    assert found["made"].isoformat() == "2026-01-01"
    assert await insert_embeddings(db, "context_metadata", "image_embedding", []) == 0


async def test_new_rows_may_have_columns_of_any_single_type(db: Database) -> None:
    await db.pool.execute(
        "CREATE TYPE mood AS ENUM ('calm', 'busy'); CREATE DOMAIN code AS varchar(3);"
        'CREATE TABLE "Robots" (id int PRIMARY KEY, "a ""b" mood, code code, price numeric(5, 2), '
        "facts jsonb, made timestamptz, seen inet, raw bytea, ok boolean, e vector(2))"
    )
    made = datetime(2026, 1, 1, tzinfo=UTC)
    whole = {
        "id": 1, 'a "b': "busy", "code": "xyz", "price": Decimal("1.239"), "facts": '{"a": [1]}',
        "made": made, "seen": "10.0.0.1", "raw": b"\\\0'", "ok": False, "e": [1, 0],
    }  # fmt: skip
    nothing = {**dict.fromkeys(whole), "id": 2, "e": [0, 1]}

    assert await insert_embeddings(db, "Robots", "e", [whole, nothing]) == 2
    first, second = await db.pool.fetch('SELECT * FROM "Robots" ORDER BY id')
    assert tuple(first)[1:6] == ("busy", "xyz", Decimal("1.24"), '{"a": [1]}', made)
    assert (str(first["seen"]), first["raw"], first["ok"]) == ("10.0.0.1", b"\\\0'", False)
    assert tuple(second)[1:-1] == (None,) * 8


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"mood": "angry"}, "does not fit"),
        ({"code": "wxyz"}, "does not fit"),
        ({"n": 9}, "breaks a constraint"),
        ({"tags": ["a"]}, "single, plain values"),
    ],
)
async def test_a_value_that_the_table_refuses_leaves_all_rows_out(
    db: Database, row: dict[str, object], words: str
) -> None:
    await db.pool.execute(
        "CREATE TYPE mood AS ENUM ('calm'); CREATE DOMAIN few AS int CHECK (VALUE < 9);"
        "CREATE TABLE t (mood mood, code varchar(3), n few, tags text[], e vector(2))"
    )

    with pytest.raises(InvalidInput, match=words):
        await insert_embeddings(db, "t", "e", [{**row, "e": [1, 1]}])
    assert await db.pool.fetchval("SELECT count(*) FROM t") == 0


async def test_whole_numbers_are_stored_up_to_their_types_limits(db: Database) -> None:
    await db.pool.execute(
        "CREATE TABLE t (a smallint, b integer, c bigint, d oid DEFAULT 7, e halfvec(2))"
    )
    limits = {"a": 2**15, "b": 2**31, "c": 2**63}
    least = {name: -limit for name, limit in limits.items()}
    most = {name: limit - 1 for name, limit in limits.items()}

    await insert_embeddings(db, "t", "e", [{**least, "e": [1, 2]}, {**most, "e": [3, 4]}])

    found = await db.pool.fetch("SELECT a, b, c, e::text FROM t ORDER BY a")
    assert [dict(row) for row in found] == [{**least, "e": "[1,2]"}, {**most, "e": "[3,4]"}]
    for name, limit in limits.items():
        with pytest.raises(InvalidInput, match=f'Column "{name}" is of type'):
            await insert_embeddings(db, "t", "e", [{**least, name: limit, "e": [1, 1]}])
    await insert_embeddings(db, "t", "e", [{"d": 2**32 - 1, "e": [1, 1]}])
    assert await db.pool.fetchval("SELECT max(d)::bigint FROM t") == 2**32 - 1
    for value in (-1, 2**32, 7.5):
        with pytest.raises(InvalidInput, match='olumn "d" is of type'):
            await insert_embeddings(db, "t", "e", [{"d": value, "e": [1, 1]}])


async def test_rows_that_a_trigger_drops_are_not_counted(db: Database) -> None:
    await db.pool.execute(
        "CREATE TABLE t (n int, e vector(2)); CREATE FUNCTION few() RETURNS trigger "
        "LANGUAGE plpgsql AS 'BEGIN IF NEW.n > 1 THEN RETURN NULL; END IF; RETURN NEW; END';"
        "CREATE TRIGGER few BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION few()"
    )

    assert await insert_embeddings(db, "t", "e", [{"n": n, "e": [1, 1]} for n in range(5)]) == 2


async def test_a_fraction_is_no_id_where_the_column_is_a_domain_over_whole_numbers(
    db: Database,
) -> None:
    """asyncpg would cut it off, and the vector would go to another row."""
    await db.pool.execute(
        "CREATE DOMAIN whole AS int; CREATE DOMAIN positive AS whole CHECK (VALUE > 0);"
        "CREATE TABLE t (id positive PRIMARY KEY, e vector(2)); INSERT INTO t VALUES (1, '[1,1]')"
    )
    column = 'Column "id" is of type public.positive; got '

    for id_value in (1.5, Decimal("1.5"), Fraction(3, 2), float("nan"), np.float32(1.5)):
        with pytest.raises(InvalidInput, match=column):
            await index_embedding(db, "t", "id", id_value, "e", [2, 1])
        with pytest.raises(InvalidInput, match=column):
            await batch_index_embeddings(
                db, "t", "id", "e", [{"id": id_value, "embedding": [2, 1]}]
            )
        with pytest.raises(InvalidInput, match=column):
            await cosine_similarity_search(db, "t", "e", [1, 1], filters={"id": {"lt": id_value}})
    with pytest.raises(InvalidInput, match="breaks a constraint"):
        await insert_embeddings(db, "t", "e", [{"id": 0, "e": [1, 1]}])

    assert await db.pool.fetchval("SELECT e::text FROM t") == "[1,1]"
    assert await index_embedding(db, "t", "id", Decimal(1), "e", [3, 1])
    assert await insert_embeddings(db, "t", "e", [{"id": 2, "e": [1, 1]}]) == 1


async def test_composite_values_are_inserted_and_are_ids_like_any_other(db: Database) -> None:
    await db.pool.execute(
        "CREATE TYPE pose AS (x float8, name text);"
        "CREATE TABLE t (at pose PRIMARY KEY, goal pose, n int, e vector(2))"
    )
    rows = [{"at": (n / 2, "a"), "goal": None, "n": n, "e": [1, n]} for n in range(3)]

    assert await insert_embeddings(db, "t", "e", rows) == 3
    items = [{"id": row["at"], "embedding": [5, row["n"]]} for row in rows[1:]]
    assert await batch_index_embeddings(db, "t", "at", "e", items) == 2

    stored = await db.pool.fetch("SELECT at, goal, e::text FROM t ORDER BY n")
    assert [tuple(row["at"]) for row in stored] == [(0.0, "a"), (0.5, "a"), (1.0, "a")]
    assert [row["e"] for row in stored] == ["[1,0]", "[5,1]", "[5,2]"]
    assert {row["goal"] for row in stored} == {None}


async def test_what_copy_cannot_fill_is_said(db: Database) -> None:
    await db.pool.execute(
        f"CREATE VIEW seen AS SELECT * FROM {TABLE}; CREATE TABLE t (rights aclitem, e vector(2))"
    )

    with pytest.raises(SearchError, match="cannot copy to view"):
        await insert_embeddings(db, "seen", COLUMN, rows_of(VECTORS[:1]))
    with pytest.raises(InvalidInput, match="aclitem, which has no binary form"):
        await insert_embeddings(db, "t", "e", [{"rights": "=r/postgres", "e": [1, 1]}])


async def test_ids_without_a_row_are_named_though_another_id_has_several(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await db.pool.execute(
        "CREATE TABLE seen (id int, e vector(2)); INSERT INTO seen VALUES (1), (1)"
    )
    items = [{"id": row_id, "embedding": [1, 1]} for row_id in (1, 99)]

    assert await batch_index_embeddings(db, "seen", "id", "e", items) == 2
    assert caplog.messages == ['1 of 2 ids have no row in "public"."seen", among them 99']


async def test_rows_of_vectors_alone_can_be_inserted_in_order(db: Database) -> None:
    assert (
        await insert_embeddings(db, TABLE, COLUMN, ({COLUMN: v} for v in VECTORS[:2100])) == 2100
    )

    stored = await _stored(db)
    assert all(np.array_equal(stored[n + 1], VECTORS[n]) for n in range(2100))


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([{"instruction": "x"}], InvalidInput, "row 0: expected a mapping with"),
        ([{COLUMN: VECTORS[0]}, {COLUMN: VECTORS[0], "id": 1}], InvalidInput, "row 1: expected"),
        ([{COLUMN: VECTORS[0], "colour": 1}], UnknownName, "no column 'colour'"),
        ([{COLUMN: VECTORS[0], "id": "x"}], InvalidInput, 'column "id"'),
        ([{COLUMN: VECTORS[0], "id": 1}] * 2, InvalidInput, "breaks a constraint"),
        ([5], InvalidInput, "row 0: expected a mapping"),
        (5, InvalidInput, "Expected an iterable of rows; got int"),
    ],
)
async def test_unusable_rows_are_refused_and_none_is_inserted(
    db: Database, rows: list[dict[str, object]], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await insert_embeddings(db, TABLE, COLUMN, rows)

    assert await db.pool.fetchval(f"SELECT count(*) FROM {TABLE}") == 0


async def test_a_vector_too_large_for_halfvec_is_refused(db: Database) -> None:
    await db.pool.execute(
        "CREATE TABLE small (id int, e halfvec(2)); INSERT INTO small VALUES (1)"
    )

    with pytest.raises(InvalidInput, match="halfvec, which holds numbers up to 65504"):
        await index_embedding(db, "small", "id", 1, "e", [70_000, 1])


async def test_a_vector_that_is_zero_in_halfvec_is_refused(db: Database) -> None:
    await db.pool.execute(
        "CREATE TABLE small (id int, e halfvec(3)); INSERT INTO small VALUES (1)"
    )

    for tiny in (1e-9, 2.0**-25):
        with pytest.raises(InvalidInput, match="would be of zero length"):
            await index_embedding(db, "small", "id", 1, "e", [tiny, tiny, 0])
        with pytest.raises(InvalidInput, match=r"row 1 \(id 1\): .*would be of zero length"):
            await batch_index_embeddings(
                db, "small", "id", "e",
                [{"id": 2, "embedding": [1, 0, 0]}, {"id": 1, "embedding": [tiny, 0, -tiny]}],
            )  # fmt: skip
        with pytest.raises(InvalidInput, match="would be of zero length"):
            await cosine_similarity_search(db, "small", "e", [tiny, 0, 0])

    assert await index_embedding(db, "small", "id", 1, "e", [6e-8, 0, 0])
    assert len(await cosine_similarity_search(db, "small", "e", [1, 0, 0])) == 1


async def test_writes_belong_to_the_callers_transaction(db: Database) -> None:
    await _rows(db, 10)
    async with db.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await index_embedding(connection, TABLE, "id", 1, COLUMN, VECTORS[1])
        await batch_index_embeddings(connection, TABLE, "id", COLUMN, _items([2, 3]))
        await insert_embeddings(connection, TABLE, COLUMN, rows_of(VECTORS[:3]))
        with pytest.raises(InvalidInput):
            await insert_embeddings(connection, TABLE, COLUMN, [{"id": 1, COLUMN: VECTORS[0]}])
        assert len(await _stored(connection)) == 6
        await transaction.rollback()

    assert await _stored(db) == {}


async def test_a_sessions_rollback_undoes_and_its_commit_keeps(db: Database, dsn: str) -> None:
    await _rows(db, 10)
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn)
    )
    async with AsyncSession(engine) as session:
        await index_embedding(session, TABLE, "id", 1, COLUMN, VECTORS[1])
        await session.rollback()
        await batch_index_embeddings(session, TABLE, "id", COLUMN, _items([2, 3]))
        await session.execute(text(f"UPDATE {TABLE} SET instruction = 'kept' WHERE id = 2"))
        await session.commit()
        await insert_embeddings(session, TABLE, COLUMN, rows_of(VECTORS[:3]))
    async with engine.connect() as connection:
        await index_embedding(connection, TABLE, "id", 4, COLUMN, VECTORS[4])
        await connection.rollback()
        await index_embedding(connection, TABLE, "id", 5, COLUMN, VECTORS[5])
        await connection.commit()
    await index_embedding(engine, TABLE, "id", 6, COLUMN, VECTORS[6])
    await engine.dispose()

    assert set(await _stored(db)) == {2, 3, 5, 6}
    assert await db.pool.fetchval(f"SELECT instruction FROM {TABLE} WHERE id = 2") == "kept"


async def test_nothing_temporary_stays_behind(db: Database, indexed: Vectors) -> None:
    async with db.pool.acquire() as connection:
        for _ in range(3):
            await batch_index_embeddings(connection, TABLE, "id", COLUMN, _items([1, 2]))
        await create_schema(connection)

        assert await connection.fetchval(
            "SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'"
        ) == 0  # fmt: skip
        assert not connection.is_in_transaction()
