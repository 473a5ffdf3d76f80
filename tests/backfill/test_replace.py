"""A column changes hands from one model to another."""

import asyncio

import asyncpg
import numpy as np
import pytest

from tests.backfill.conftest import (
    COLUMN,
    NAMES,
    TABLE,
    Fill,
    after_a_block,
    someone_waits,
    stored,
)
from tests.backfill.recorded import RecordedService, vector_of
from vla_embeddings.backfill import backfill
from vla_embeddings.errors import SearchError
from vla_embeddings.search import (
    Database,
    batch_index_embeddings,
    cosine_similarity_search,
    index_embedding,
    list_indexes,
)


async def _fill_with_old(db: Database, fill: Fill, count: int) -> list[str]:
    instructions = await fill(count)
    await batch_index_embeddings(
        db,
        TABLE,
        "id",
        COLUMN,
        ({"id": n, "embedding": np.eye(384)[n % 384]} for n in range(1, count + 1)),
        fingerprint="old",
    )
    return instructions


async def _comment(db: Database) -> str:
    comment: str = await db.pool.fetchval(
        "SELECT col_description(attrelid, attnum) FROM pg_attribute "
        "WHERE attrelid = $1::regclass AND attname = $2",
        TABLE,
        COLUMN,
    )
    return comment


async def test_another_models_column_is_refused_unless_it_is_to_be_replaced(
    db: Database, fill: Fill
) -> None:
    await _fill_with_old(db, fill, 3)
    before = await stored(db)

    for dry_run in (False, True):
        with pytest.raises(SearchError, match=r"holds vectors of old.*backfill --replace"):
            await backfill(db, RecordedService([]), **NAMES, dry_run=dry_run)

    np.testing.assert_equal(await stored(db), before)


async def test_a_replaced_column_holds_the_new_models_vectors_alone(
    db: Database, fill: Fill
) -> None:
    instructions = await _fill_with_old(db, fill, 700)
    await db.pool.execute(f"UPDATE {TABLE} SET instruction = NULL WHERE id = 9")

    report = await backfill(db, RecordedService([]), **NAMES, replace=True)

    assert (report.plan.vectors, report.plan.pending, report.embedded) == (0, 700, 699)
    assert [row.id for row in report.failed] == [9]
    vectors = await stored(db)
    assert vectors.keys() == set(range(1, 701)) - {9}
    for key, vector in vectors.items():
        np.testing.assert_array_equal(vector, vector_of(instructions[key - 1]))
    assert await _comment(db) == "vla-embeddings: recorded"


async def test_a_dry_run_of_a_replacement_counts_every_row_and_keeps_the_old(
    db: Database, fill: Fill
) -> None:
    await _fill_with_old(db, fill, 10)

    report = await backfill(db, RecordedService([]), **NAMES, replace=True, dry_run=True)

    assert (report.plan.vectors, report.plan.pending) == (0, 10)
    assert len(await stored(db)) == 10
    assert await _comment(db) == "vla-embeddings: old"


async def test_half_way_the_column_is_the_new_models_and_the_next_run_goes_on(
    db: Database, fill: Fill
) -> None:
    instructions = await _fill_with_old(db, fill, 2000)
    stop, record = asyncio.Event(), list[str]()

    half = await backfill(
        db,
        RecordedService(record),
        **NAMES,
        replace=True,
        stop=stop,
        progress=after_a_block(stop),
    )

    assert half.left == 2000 - half.embedded > 0
    assert await _comment(db) == "vla-embeddings: recorded"
    found = await cosine_similarity_search(
        db, TABLE, COLUMN, vector_of("x"), 10_000, -1.0, fingerprint="recorded"
    )
    assert len(found) == half.embedded
    with pytest.raises(SearchError, match="holds vectors of recorded"):
        await index_embedding(db, TABLE, "id", 1, COLUMN, np.ones(384), fingerprint="old")
    rest = await backfill(db, RecordedService(record), **NAMES, replace=True)
    assert (rest.plan.vectors, rest.embedded) == (half.embedded, half.left)
    assert sorted(record) == sorted(instructions)


async def test_vectors_of_unknown_origin_are_replaced_too(db: Database, fill: Fill) -> None:
    await fill(5)
    await index_embedding(db, TABLE, "id", 1, COLUMN, np.ones(384))

    report = await backfill(db, RecordedService([]), **NAMES, replace=True)

    assert report.embedded == 5


async def test_a_worker_sees_what_another_did_whatever_isolation_is_the_databases_default(
    db: Database, dsn: str, fill: Fill
) -> None:
    await _fill_with_old(db, fill, 10)
    name = await db.pool.fetchval("SELECT current_database()")
    await db.pool.execute(
        f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'"
    )
    first = await asyncpg.connect(dsn)
    async with await Database.connect(dsn) as second:
        await first.execute(f"BEGIN; LOCK TABLE {TABLE} IN SHARE ROW EXCLUSIVE MODE")
        run = asyncio.create_task(
            backfill(second, RecordedService([]), **NAMES, replace=True, index=False)
        )
        await someone_waits(first)
        await first.execute(
            f"UPDATE {TABLE} SET {COLUMN} = NULL; "
            f"COMMENT ON COLUMN {TABLE}.{COLUMN} IS 'vla-embeddings: recorded'; COMMIT"
        )

        assert (await run).embedded == 10
    await first.close()


async def test_of_workers_that_replace_together_one_empties_the_column(
    db: Database, dsn: str, fill: Fill
) -> None:
    instructions = await _fill_with_old(db, fill, 3000)
    record: list[str] = []
    async with await Database.connect(dsn) as other:
        await asyncio.gather(
            *(
                backfill(handle, RecordedService(record), **NAMES, replace=True)
                for handle in (db, other)
            )
        )

    assert sorted(record) == sorted(instructions)
    assert len(await stored(db)) == 3000
    assert [index.state for index in await list_indexes(db, TABLE)] == ["valid"]
