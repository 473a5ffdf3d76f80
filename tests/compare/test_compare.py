"""What a comparison says of a table, whatever is in it."""

import asyncio
import uuid
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest

from tests.backfill.conftest import COLUMN, NAMES, TABLE, Names, add_rows
from tests.compare.conftest import Agree, store
from tests.outage import Proxy
from vla_embeddings import EmbeddingCache, EmbeddingConfig, EmbeddingService
from vla_embeddings.backfill import backfill
from vla_embeddings.compare import ComparedRow, Comparison, compare, cosines
from vla_embeddings.errors import DatabaseUnavailable, DimensionMismatch, InvalidInput, SearchError
from vla_embeddings.search import Database, index_embedding


async def test_vectors_of_the_service_agree_with_it(
    db: Database, service: EmbeddingService, agree: Agree
) -> None:
    await agree(600)
    seen: list[tuple[int, int]] = []

    found = await compare(db, service, **NAMES, progress=lambda *step: seen.append(step))

    assert found.passed
    assert {row.id for row in found.rows} == set(range(1, 601))
    assert found.rows[0].cosine == min(row.cosine for row in found.rows) > 0.99999
    assert (found.unusable, found.failed, found.not_unit, found.below) == ((), (), 0, 0)
    assert seen == [(0, 600), (512, 600), (600, 600)]


async def test_the_wrong_rows_come_first_by_id_and_fail_it(
    db: Database, service: EmbeddingService, agree: Agree
) -> None:
    await agree(100)
    await db.pool.execute(f"UPDATE {TABLE} SET instruction = 'open the pod bay doors' WHERE id=7")
    await index_embedding(db, TABLE, "id", 9, COLUMN, -np.ones(384))

    found = await compare(db, service, **NAMES)

    assert not found.passed
    assert found.below == 2
    assert {row.id for row in found.rows[:2]} == {7, 9}
    assert found.percentiles["min"] == found.rows[0].cosine < 0.5
    assert found.percentiles["p50"] > 0.99999


async def test_the_bound_is_the_callers(
    db: Database, service: EmbeddingService, agree: Agree
) -> None:
    [text] = await agree(1)
    vector = await service.get_instruction_embedding(text)
    aside = np.linalg.svd(vector[None])[2][1]  # at a right angle to it
    await store(db, [0.8 * vector + 0.6 * aside])

    for bound, passed in ((0.79, True), (0.81, False)):
        found = await compare(db, service, **NAMES, min_cosine=bound)
        assert found.passed is passed
        assert found.rows[0].cosine == pytest.approx(0.8, abs=1e-5)


async def test_only_as_many_rows_as_asked_for_are_drawn_and_others_each_time(
    db: Database, service: EmbeddingService, agree: Agree
) -> None:
    await agree(200)

    draws = [await compare(db, service, **NAMES, sample=20) for _ in range(2)]

    ids = [{row.id for row in found.rows} for found in draws]
    assert [len(each) for each in ids] == [20, 20]
    assert ids[0] != ids[1]


async def test_rows_without_a_vector_are_passed_over(
    db: Database, service: EmbeddingService, agree: Agree
) -> None:
    await agree(10)
    await db.pool.execute(f"UPDATE {TABLE} SET {COLUMN} = NULL WHERE id <= 4")

    found = await compare(db, service, **NAMES)

    assert {row.id for row in found.rows} == set(range(5, 11))


async def test_sources_that_are_gone_are_named_and_neither_pass_nor_fail_it(
    db: Database, service: EmbeddingService, agree: Agree
) -> None:
    await agree(10)
    await db.pool.execute(f"UPDATE {TABLE} SET instruction = (ARRAY[NULL, ' '])[id] WHERE id <= 2")

    some = await compare(db, service, **NAMES)
    none = await compare(db, service, **NAMES, filters={"id": [1, 2]})

    assert some.passed
    assert {row.id: row.reason for row in some.failed}[1] == "It is NULL."
    assert {row.id for row in some.failed} == {1, 2}
    assert (none.passed, none.rows, none.percentiles) == (False, (), {})


async def test_a_vector_without_a_direction_fails_it(
    db: Database, service: EmbeddingService, agree: Agree
) -> None:
    await agree(3)
    zeros = str([0] * 384)
    await db.pool.execute(f"UPDATE {TABLE} SET {COLUMN} = '{zeros}' WHERE id = 2")

    found = await compare(db, service, **NAMES)

    assert not found.passed
    assert [(row.id, "zero length" in row.reason) for row in found.unusable] == [(2, True)]
    assert len(found.rows) == 2


async def test_the_database_keeps_nan_out_and_the_comparison_would_name_it(db: Database) -> None:
    with pytest.raises(asyncpg.DataError, match="NaN not allowed"):
        await db.pool.execute(f"INSERT INTO {TABLE} ({COLUMN}) VALUES ('{[float('nan')] * 384}')")
    assert cosines.fault_of(np.array([np.nan, 1], np.float32), 2) is not None
    assert cosines.fault_of(np.array([np.inf, 1], np.float32), 2) is not None


async def test_a_column_for_vectors_of_another_length_is_refused(
    db: Database, service: EmbeddingService
) -> None:
    await db.pool.execute(
        "CREATE TABLE t (id int PRIMARY KEY, s text, e vector(3));"
        "INSERT INTO t VALUES (1, 'go', '[1, 2, 3]')"
    )

    with pytest.raises(DimensionMismatch, match="3 dimensions; got 384"):
        await compare(db, service, table="t", source_column="s", embedding_column="e")


async def test_a_column_of_any_length_is_compared_row_by_row(
    db: Database, service: EmbeddingService
) -> None:
    right = await service.get_instruction_embedding("stop")
    await db.pool.execute(
        "CREATE TABLE t (id int PRIMARY KEY, s text, e vector);"
        "INSERT INTO t VALUES (1, 'go', '[1, 2, 3]')"
    )
    await db.pool.execute(f"INSERT INTO t VALUES (2, 'stop', '{right.tolist()}')")

    found = await compare(db, service, table="t", source_column="s", embedding_column="e")

    assert [row.id for row in found.rows] == [2]
    assert found.unusable[0].reason == "Its vector has 3 dimensions; the model's have 384."
    assert not found.passed


async def test_a_table_without_vectors_has_nothing_to_compare(
    db: Database, service: EmbeddingService
) -> None:
    await add_rows(db, ["go"])

    with pytest.raises(SearchError, match=r"No row of .* has a vector"):
        await compare(db, service, **NAMES)
    with pytest.raises(SearchError, match="that passes the filters"):
        await compare(db, service, **NAMES, filters={"instruction": "stop"})


async def test_the_model_that_the_column_names_is_said_and_does_not_decide(
    db: Database, service: EmbeddingService, agree: Agree
) -> None:
    [text, *_] = await agree(5)
    unnamed = await compare(db, service, **NAMES)
    vector = await service.get_instruction_embedding(text)
    await index_embedding(db, TABLE, "id", 1, COLUMN, vector, fingerprint="the old stack")

    named = await compare(db, service, **NAMES)

    assert (unnamed.recorded, unnamed.fingerprint) == (None, await service.fingerprint("text"))
    assert named.recorded == "the old stack"
    assert named.passed


async def test_vectors_that_are_not_of_unit_length_are_counted_and_their_cosines_right(
    db: Database, service: EmbeddingService, agree: Agree
) -> None:
    texts = await agree(20)
    vectors = (await service.batch_generate_embeddings(texts=texts))["text_embeddings"]
    await store(db, 1e18 * vectors[:8])

    found = await compare(db, service, **NAMES)

    assert (found.not_unit, found.passed) == (8, True)
    assert found.rows[0].cosine > 0.99999


async def test_half_precision_agrees(db: Database, service: EmbeddingService) -> None:
    await db.pool.execute(
        'CREATE TABLE "Näme" (id uuid PRIMARY KEY, s varchar, e halfvec(384));'
        "INSERT INTO \"Näme\" SELECT gen_random_uuid(), 'lift ' || n FROM generate_series(1, 30) n"
    )
    names = Names(table='"Näme"', source_column="s", embedding_column="e")
    await backfill(db, service, **names, index=False)

    found = await compare(db, service, **names)

    assert found.passed
    assert found.not_unit == 0
    assert all(isinstance(row.id, uuid.UUID) for row in found.rows)


async def test_a_row_is_known_by_all_columns_of_its_key(
    db: Database, service: EmbeddingService
) -> None:
    await db.pool.execute(
        "CREATE TABLE shots (day date, n int, s text, e vector(384), PRIMARY KEY (day, n));"
        "INSERT INTO shots SELECT '2026-01-01'::date + n % 2, n / 2, 'lift ' || n "
        "FROM generate_series(0, 9) AS n"
    )
    names = Names(table="shots", source_column="s", embedding_column="e")
    await backfill(db, service, **names, index=False)
    await db.pool.execute("UPDATE shots SET s = 'drop it' WHERE day = '2026-01-02' AND n = 3")

    found = await compare(db, service, **names)

    assert len(found.rows) == 10
    assert (found.rows[0].id, found.below) == ((date(2026, 1, 2), 3), 1)


async def test_it_writes_nothing_and_leaves_the_cache_alone(
    db: Database, redis_url: str, models_dir: Path, agree: Agree
) -> None:
    await agree(5)
    async with EmbeddingService(
        cache=(cache := EmbeddingCache(redis_url=redis_url, deadline=10.0)),
        config=EmbeddingConfig(models_dir=models_dir),
    ) as service:
        await cache.clear_pattern("*")
        async with db.pool.acquire() as connection, connection.transaction(readonly=True):
            assert (await compare(connection, service, **NAMES)).passed  # or it would be refused
        stats = await cache.get_stats()

    assert stats["total_keys"] == stats["hits"] == stats["misses"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sample": 0}, "sample must be"),
        ({"sample": 1.5}, "sample must be"),
        ({"min_cosine": 1.01}, "from -1 to 1"),
        ({"min_cosine": float("nan")}, "from -1 to 1"),
        ({"root": Path("/")}, "root is for images"),
        ({"filters": {"id": "one"}}, "is of type"),
    ],
)
async def test_an_unusable_argument_is_refused(
    db: Database, service: EmbeddingService, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        await compare(db, service, **NAMES, **arguments)


async def test_a_server_that_goes_away_in_the_middle_is_said(
    dsn: str, service: EmbeddingService, agree: Agree, tmp_path: Path
) -> None:
    await agree(300)
    proxy = Proxy(dsn, tmp_path)
    await proxy.open()
    ending: list[asyncio.Task[None]] = []

    async with await Database.connect(proxy.dsn) as victim:
        with pytest.raises(DatabaseUnavailable):
            await compare(
                victim,
                service,
                **NAMES,
                progress=lambda *_: ending.append(asyncio.create_task(proxy.shut())),
            )
        await asyncio.gather(*ending)


def test_nothing_to_compare_is_no_agreement() -> None:
    comparison = Comparison("t", "s", "e", "ours", None, -1.0, (), (), (), 0)

    assert not comparison.passed
    one = (ComparedRow(1, -0.5),)
    assert Comparison("t", "s", "e", "ours", None, -1.0, one, (), (), 0).passed
