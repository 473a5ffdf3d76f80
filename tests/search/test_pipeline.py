"""Chunks overlap, and what is stored and raised is as if they did not."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest

from tests.search.conftest import COLUMN, TABLE, unit_vectors
from vla_embeddings.errors import InvalidInput
from vla_embeddings.search import (
    Database,
    batch_index_embeddings,
    cosine_similarity_search,
    create_hnsw_index,
)
from vla_embeddings.search.catalog import resolve
from vla_embeddings.search.fingerprint import recorded_fingerprint
from vla_embeddings.search.handles import Handle
from vla_embeddings.search.pipeline import Turn, store_in_order

VECTORS = unit_vectors(400, seed=6)

Item = dict[str, object]

STAGED = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND state = 'idle in transaction' AND query LIKE 'COPY %'"
)
LOCKED = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND wait_event_type = 'Lock'"
)


@pytest.fixture
async def rows(db: Database) -> Database:
    """A pool on a database with 400 rows that have no vector, ids from 1."""
    await db.pool.execute(
        f"INSERT INTO {TABLE} (instruction) SELECT 'put' FROM generate_series(1, 400)"
    )
    return db


def _items(ids: range) -> Iterator[Item]:
    return ({"id": row_id, "embedding": VECTORS[row_id - 1]} for row_id in ids)


async def _batch(db: Handle, items: object) -> int:
    return await batch_index_embeddings(db, TABLE, "id", COLUMN, items, chunk_rows=100)  # type: ignore[arg-type]  # some tests pass what fails


async def _stored(db: Database) -> list[int]:
    found = await db.pool.fetch(f"SELECT id FROM {TABLE} WHERE {COLUMN} IS NOT NULL ORDER BY id")
    return [row["id"] for row in found]


async def _until(db: Database, question: str) -> None:
    # Nothing announces it: the server has to be asked.
    while not await db.pool.fetchval(question):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_chunk_is_staged_while_another_waits_for_a_row(rows: Database) -> None:
    name = await rows.pool.fetchval("SELECT current_database()")
    async with rows.pool.acquire() as holder, holder.transaction():
        await holder.execute(f"SELECT FROM {TABLE} WHERE id = 1 FOR UPDATE")
        await rows.pool.execute(
            f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '2s'"
        )
        await rows.pool.expire_connections()  # the holder's stays, without the timeout
        storing = asyncio.create_task(_batch(rows, _items(range(1, 401))))
        await _until(rows, STAGED)
        await asyncio.sleep(2.5)
        assert await _stored(rows) == []

    assert await storing == 400
    assert len(await _stored(rows)) == 400


async def test_nothing_idles_in_a_transaction_where_an_index_makes_a_chunk_slow(
    rows: Database,
) -> None:
    await create_hnsw_index(rows, TABLE, COLUMN)
    async with rows.pool.acquire() as holder, holder.transaction():
        await holder.execute(f"SELECT FROM {TABLE} WHERE id = 1 FOR UPDATE")
        storing = asyncio.create_task(_batch(rows, _items(range(1, 401))))
        await _until(rows, LOCKED)
        await asyncio.sleep(0.2)  # in which the next chunk could be staged
        assert await rows.pool.fetchval(STAGED) == 0

    assert await storing == 400


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_the_last_vector_of_an_id_wins_across_chunks(rows: Database, isolation: str) -> None:
    name = await rows.pool.fetchval("SELECT current_database()")
    await rows.pool.execute(
        f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'"
    )
    await rows.pool.expire_connections()
    items = [
        {"id": row_id, "embedding": VECTORS[place]}
        for place, row_id in enumerate([*range(1, 101)] * 4)
    ]

    assert await _batch(rows, items) == 400

    found = await rows.pool.fetch(
        f"SELECT {COLUMN}::real[] AS e FROM {TABLE} ORDER BY id LIMIT 100"
    )
    np.testing.assert_array_equal(np.array([row["e"] for row in found], np.float32), VECTORS[300:])


async def test_a_chunk_that_the_server_refuses_keeps_the_later_ones_out(rows: Database) -> None:
    await rows.pool.execute(f"ALTER TABLE {TABLE} ADD CHECK (id <> 150 OR {COLUMN} IS NULL)")

    with pytest.raises(InvalidInput, match="breaks a constraint"):
        await _batch(rows, _items(range(1, 401)))

    assert await _stored(rows) == [*range(1, 101)]


async def test_of_two_faults_the_first_chunks_is_raised(rows: Database) -> None:
    await rows.pool.execute(f"ALTER TABLE {TABLE} ADD CHECK (id <> 50 OR {COLUMN} IS NULL)")

    def items() -> Iterator[Item]:
        yield from _items(range(1, 151))
        yield {"id": 151, "embedding": np.zeros(384)}
        yield from _items(range(152, 201))
        raise FileNotFoundError("vectors.npy")

    with pytest.raises(InvalidInput, match="breaks a constraint"):
        await _batch(rows, items())
    assert await _stored(rows) == []


async def test_a_chunk_that_fails_leaves_the_columns_model_as_it_was(rows: Database) -> None:
    items = [*_items(range(1, 101)), *_items(range(101, 201))]
    items[50] = {"id": 51, "embedding": np.zeros(384)}
    await batch_index_embeddings(rows, TABLE, "id", COLUMN, _items(range(1, 2)), fingerprint="a")

    with pytest.raises(InvalidInput, match="zero length"):
        await batch_index_embeddings(
            rows, TABLE, "id", COLUMN, items, chunk_rows=100, fingerprint="b", force=True
        )

    async with rows.pool.acquire() as connection:
        column = (await resolve(connection, TABLE)).column(COLUMN)
    assert recorded_fingerprint(column) == "a"


async def test_what_was_handed_over_is_stored_though_the_source_fails(rows: Database) -> None:
    async def items() -> AsyncIterator[Item]:
        for item in _items(range(1, 251)):
            yield item
        raise FileNotFoundError("vectors.npy")

    with pytest.raises(FileNotFoundError):
        await _batch(rows, items())
    assert await _stored(rows) == [*range(1, 201)]


async def test_vectors_may_be_read_from_the_connection_that_they_are_written_to(
    rows: Database,
) -> None:
    async with rows.pool.acquire() as connection:

        async def by_cursor() -> AsyncIterator[Item]:
            async for row in connection.cursor(f"SELECT id FROM {TABLE} ORDER BY id"):
                yield {"id": row["id"], "embedding": VECTORS[row["id"] - 1]}

        async def by_page() -> AsyncIterator[Item]:
            for start in range(0, 400, 100):
                page = await connection.fetch(
                    f"SELECT id FROM {TABLE} WHERE id > {start} ORDER BY id LIMIT 100"
                )
                for row in page:
                    yield {"id": row["id"], "embedding": VECTORS[row["id"] - 1]}

        assert await _batch(connection, by_page()) == 400
        async with connection.transaction():
            assert await _batch(connection, by_cursor()) == 400
        assert not connection.is_in_transaction()


@pytest.mark.parametrize("pooled", [True, False])
async def test_a_fault_does_not_wait_for_the_next_vectors(rows: Database, pooled: bool) -> None:
    await rows.pool.execute(f"ALTER TABLE {TABLE} ADD CHECK (id <> 50 OR {COLUMN} IS NULL)")

    async def items() -> AsyncIterator[Item]:
        for item in _items(range(1, 101)):
            yield item
        await asyncio.Event().wait()

    async with asyncio.timeout(20), rows.pool.acquire() as connection:
        with pytest.raises(InvalidInput, match="breaks a constraint"):
            await _batch(rows if pooled else connection, items())


async def test_a_pool_of_two_has_one_connection_for_searches_while_an_index_makes_a_chunk_slow(
    dsn: str, rows: Database
) -> None:
    await create_hnsw_index(rows, TABLE, COLUMN)
    async with (
        await Database.connect(dsn, max_size=2) as two,
        rows.pool.acquire() as holder,
        holder.transaction(),
    ):
        await holder.execute(f"SELECT FROM {TABLE} WHERE id = 1 FOR UPDATE")
        storing = asyncio.create_task(_batch(two, _items(range(1, 401))))
        await asyncio.sleep(0.2)
        async with asyncio.timeout(5):
            assert await cosine_similarity_search(two, TABLE, COLUMN, VECTORS[0]) == []
        storing.cancel()
        await asyncio.wait([storing])


async def test_a_pool_of_one_connection_is_enough(dsn: str, rows: Database) -> None:
    async with await Database.connect(dsn, max_size=1) as single:
        assert await _batch(single, _items(range(1, 401))) == 400


async def test_cancellation_ends_both_chunks(
    rows: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "asyncio")
    async with rows.pool.acquire() as holder, holder.transaction():
        await holder.execute(f"SELECT FROM {TABLE} WHERE id = 1 FOR UPDATE")
        storing = asyncio.create_task(_batch(rows, _items(range(1, 401))))
        await _until(rows, STAGED)
        storing.cancel()
        await asyncio.wait([storing])

    assert storing.cancelled()
    assert rows.pool.get_idle_size() == rows.pool.get_size()
    assert await _stored(rows) == []
    assert caplog.messages == []


@pytest.mark.parametrize("may_overlap", [False, True])
async def test_at_most_two_chunks_are_under_way_and_only_where_they_may_overlap(
    may_overlap: bool,
) -> None:
    running, most, order = 0, 0, []

    async def chunks() -> AsyncIterator[int]:
        for chunk in range(6):
            yield chunk

    async def store(chunk: int, turn: Turn) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await turn.wait()
        await asyncio.sleep(0.001)
        order.append(chunk)
        running -= 1
        return chunk

    total = await store_in_order(chunks(), store, may_overlap=lambda: may_overlap)

    assert (total, order, most) == (15, [0, 1, 2, 3, 4, 5], 1 + may_overlap)
