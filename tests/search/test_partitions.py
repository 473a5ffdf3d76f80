"""Tables partitioned by hash or by list are searched, written and indexed as one."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import numpy as np
import pytest

from tests.search.conftest import ADVISORY_LOCKS, Vectors, unit_vectors
from tests.search.partitioned import COLUMN, CUSTOMERS, KEYS, LEAVES, key_of
from vla_embeddings.errors import InvalidInput, SearchError, UnknownName
from vla_embeddings.search import (
    BuildProgress,
    Database,
    batch_index_embeddings,
    cosine_similarity_search,
    create_hnsw_index,
    create_ivfflat_index,
    drop_index,
    index_embedding,
    list_indexes,
    measure_recall,
)
from vla_embeddings.search.catalog import resolve
from vla_embeddings.search.metric import COSINE
from vla_embeddings.search.statement import Nearest

pytestmark = pytest.mark.usefixtures("partitioned")

QUERY = unit_vectors(1, seed=3)[0]


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    """A pool whose planner prefers the indexes, for which partitions in life are large enough."""
    async with await Database.connect(_with(dsn, enable_seqscan="off"), max_size=4) as db:
        yield db


def _with(dsn: str, **settings: str) -> str:
    parts = urlsplit(dsn)
    query = urlencode([*parse_qsl(parts.query), *settings.items()])
    return urlunsplit(parts._replace(query=query))


@pytest.fixture(params=KEYS)
def table(request: pytest.FixtureRequest) -> str:
    """Each of the two tables."""
    return str(request.param)


async def _index(db: Database, table: str, method: str) -> None:
    if method == "ivfflat":
        await create_ivfflat_index(db, table, COLUMN, lists=4)
    else:
        await create_hnsw_index(db, table, COLUMN, half=method == "half")


async def _keys(db: Database, table: str, **options: Any) -> list[tuple[object, ...]]:
    rows = await cosine_similarity_search(
        db, table, COLUMN, **{"query_embedding": QUERY, "threshold": -1.0} | options
    )
    return [tuple(row[name] for name in KEYS[table]) for row in rows]


async def _states(db: Database, table: str) -> list[str]:
    return [index.state for index in await list_indexes(db, table)]


@pytest.mark.parametrize("method", ["none", "hnsw", "half", "ivfflat"])
async def test_a_search_finds_all_there_is_and_the_nearest_first(
    db: Database, partitioned: Vectors, table: str, method: str
) -> None:
    if method != "none":
        await _index(db, table, method)
    order = np.argsort(-(partitioned @ QUERY))

    for top_k in (1, 10, 1199, 1200, 5000):
        found = await _keys(db, table, top_k=top_k)
        assert len(set(found)) == min(top_k, 1200)
    expected = [tuple(key_of(table, int(place)).values()) for place in order[:100]]
    assert await _keys(db, table, top_k=100, exact=True) == expected
    assert len(set(expected) & set(await _keys(db, table, top_k=100, probes=4))) >= 95


@pytest.mark.parametrize("method", ["hnsw", "ivfflat"])
async def test_a_filter_that_leaves_rows_in_one_partition_never_shortens_the_list(
    db: Database, table: str, method: str
) -> None:
    await _index(db, table, method)

    for matching in (0, 1, 30):
        await db.pool.execute(
            f"UPDATE {table} SET instruction = 'rare' "
            "WHERE customer_id = 'customer_0' AND id <= $1",
            matching * (CUSTOMERS if table == "by_hash" else 1),
        )
        found = await _keys(db, table, filters={"instruction": "rare"}, top_k=20)
        assert len(found) == min(20, matching)


async def test_a_partition_past_the_threshold_does_not_speak_for_the_others(
    db: Database, dsn: str, partitioned: Vectors
) -> None:
    """Here every row of one is too far, and another's scan ends early for want of memory."""
    await db.pool.execute(
        f"UPDATE hash_1 SET instruction = 'rare', {COLUMN} = $1::real[]::vector", (-QUERY).tolist()
    )
    similarities = partitioned @ QUERY
    ids = [row["id"] for row in await db.pool.fetch("SELECT id FROM hash_0")]
    ids.sort(key=lambda id_: -similarities[id_ - 1])
    await create_hnsw_index(db, "by_hash", COLUMN)

    async with await Database.connect(_with(dsn, enable_seqscan="off", work_mem="64kB")) as small:
        for rare in (ids[100], ids[200], ids[-1]):
            await db.pool.execute(
                "UPDATE hash_0 SET instruction = CASE WHEN id = $1 THEN 'rare' END", rare
            )
            found = await _keys(
                small,
                "by_hash",
                top_k=1000,
                threshold=float(similarities[rare - 1]) - 1e-4,
                filters={"instruction": "rare"},
                ef_search=1,
            )
            assert found == [(rare,)]


async def test_a_search_goes_through_the_index_of_each_partition(db: Database, table: str) -> None:
    await create_hnsw_index(db, table, COLUMN)
    async with db.pool.acquire() as connection:
        target = await resolve(connection, table)
        column = target.vector_column(COLUMN)
        nearest = Nearest(target, column, COSINE, QUERY.tolist(), 10, filters=None, columns=())
        sql, parameters = nearest.indexed()
        plan = await connection.fetch(f"EXPLAIN {sql}", *parameters.values)

    lines = "\n".join(row[0] for row in plan)
    assert lines.count("Index Scan using") == lines.count("hnsw") == 3
    [point] = await measure_recall(db, table, COLUMN, efforts=[200], sample=20)
    assert point.recall == pytest.approx(1.0, abs=0.02)


async def test_writes_by_the_whole_key_reach_the_one_row(
    db: Database, partitioned: Vectors, table: str
) -> None:
    keys = [tuple(key_of(table, place).values()) for place in range(8)]
    items = [{"id": key, "embedding": -partitioned[n]} for n, key in enumerate(keys[:7])]

    assert await batch_index_embeddings(db, table, KEYS[table], COLUMN, items) == 7
    assert await index_embedding(db, table, KEYS[table], keys[7], COLUMN, -partitioned[7])

    for place, key in enumerate(keys):
        assert await _keys(db, table, query_embedding=-partitioned[place], top_k=1) == [key]
    unchanged = await db.pool.fetchval(
        f"SELECT count(*) FROM {table} WHERE {COLUMN} = $1::real[]::vector",
        partitioned[8].tolist(),
    )
    assert unchanged == 1


async def test_an_id_that_is_not_of_the_whole_key_is_refused(db: Database) -> None:
    for value in (1, ("customer_0",), ("customer_0", 1, 2), ("customer_0", None)):
        with pytest.raises(InvalidInput, match="An id must be a"):
            await index_embedding(db, "by_list", KEYS["by_list"], value, COLUMN, QUERY)
        item = {"id": value, "embedding": QUERY}
        with pytest.raises(InvalidInput, match="An id must be a"):
            await batch_index_embeddings(db, "by_list", KEYS["by_list"], COLUMN, [item])
    with pytest.raises(InvalidInput, match="must name a column"):
        await index_embedding(db, "by_list", (), (), COLUMN, QUERY)


async def test_missing_rows_are_named_by_their_whole_key(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    item = {"id": ("customer_0", 10**6), "embedding": QUERY}

    assert await batch_index_embeddings(db, "by_list", KEYS["by_list"], COLUMN, [item]) == 0
    assert "among them ('customer_0', 1000000)" in caplog.text


async def test_one_index_is_listed_with_the_size_of_all_and_dropped_with_all(
    db: Database, table: str
) -> None:
    seen: list[BuildProgress] = []
    built = await create_hnsw_index(db, table, COLUMN, progress=seen.append)

    assert await create_hnsw_index(db, table, COLUMN) == built
    assert await list_indexes(db) == await list_indexes(db, table) == [built]
    assert (built.partitioned, built.state) == (True, "valid")
    parts = [index for leaf in LEAVES[table] for index in await list_indexes(db, _leaf(leaf))]
    assert len(parts) == 3
    assert built.size_bytes == sum(part.size_bytes for part in parts) > 0
    with pytest.raises(UnknownName, match=f"one partition's part of {built.name}"):
        await drop_index(db, parts[0].name)
    assert (await drop_index(db, built.name)).name == built.name
    assert [await list_indexes(db), await list_indexes(db, _leaf(LEAVES[table][0]))] == [[], []]


def _leaf(name: str) -> str:
    return f'"Large".{name}' if name == "list_0" else name


async def test_others_write_while_partitions_are_indexed(db: Database) -> None:
    """All but the last step, which takes a moment, goes on beside an open transaction."""
    async with db.pool.acquire() as writer:
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute("UPDATE others_1 SET instruction = 'x'")
        build = asyncio.create_task(create_hnsw_index(db, "by_list", COLUMN))
        # Nothing announces it: the server's catalog has to be asked.
        while len(await list_indexes(db)) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await db.pool.execute("UPDATE others_1 SET instruction = 'y' WHERE id = -1")
        await transaction.commit()

    assert (await build).state == "valid"


async def test_a_build_goes_on_where_one_broke_off(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """One partition is done, one is half done, as a server crash leaves it, and one not begun."""
    done, half_done, _ = map(_leaf, LEAVES["by_list"])
    kept = await create_hnsw_index(db, done, COLUMN)
    broken = await create_hnsw_index(db, half_done, COLUMN)
    await db.pool.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::regclass", broken.name
    )
    oid = await db.pool.fetchval("SELECT oid FROM pg_class WHERE relname = $1", kept.name)

    built = await create_hnsw_index(db, "by_list", COLUMN)

    assert built.state == "valid"
    assert f"Removing the invalid index {broken.name}" in caplog.text
    assert await list_indexes(db) == [built]
    assert await db.pool.fetchval("SELECT oid FROM pg_class WHERE relname = $1", kept.name) == oid


async def test_an_index_that_not_all_partitions_have_is_made_whole(db: Database) -> None:
    """As `CREATE INDEX ON ONLY` leaves it: invalid, until each partition has its part."""
    await db.pool.execute(
        f"CREATE INDEX whole ON ONLY by_list USING hnsw ({COLUMN} vector_cosine_ops)"
    )
    assert await _states(db, "by_list") == ["invalid"]
    assert len(await _keys(db, "by_list", top_k=50)) == 50

    assert (await create_hnsw_index(db, "by_list", COLUMN)).state == "valid"
    assert await _states(db, "by_list") == ["valid"]


async def test_a_partition_indexed_in_another_way_is_an_error_that_says_so(db: Database) -> None:
    """PostgreSQL itself would adopt it without a word."""
    other = await create_hnsw_index(db, _leaf(LEAVES["by_list"][1]), COLUMN, m=8)

    with pytest.raises(SearchError, match=rf"already has the index {other.name}.*drop_index"):
        await create_hnsw_index(db, "by_list", COLUMN)
    await drop_index(db, other.name)
    assert (await create_hnsw_index(db, "by_list", COLUMN)).state == "valid"


async def test_cancelled_builds_leave_only_whole_partitions(db: Database) -> None:
    chance = random.Random(2)
    for _ in range(8):
        build = asyncio.create_task(create_hnsw_index(db, "by_list", COLUMN))
        await asyncio.sleep(chance.uniform(0, 0.3))
        build.cancel()
        await asyncio.wait([build])
        assert {index.state for index in await list_indexes(db)} <= {"valid"}

    assert (await create_hnsw_index(db, "by_list", COLUMN)).partitioned
    assert await db.pool.fetchval(ADVISORY_LOCKS) == 0


async def test_a_new_partition_has_its_index_at_once(db: Database) -> None:
    await create_hnsw_index(db, "by_list", COLUMN)
    await db.pool.execute(
        "CREATE TABLE list_new PARTITION OF by_list FOR VALUES IN ('customer_new')"
    )

    assert len(await list_indexes(db, "list_new")) == 1
    assert await _states(db, "by_list") == ["valid"]


async def test_in_an_open_transaction_all_partitions_are_the_transactions(db: Database) -> None:
    async with db.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert (await create_hnsw_index(connection, "by_list", COLUMN)).state == "valid"
        await transaction.rollback()

    assert await list_indexes(db) == []
