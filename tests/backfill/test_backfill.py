"""What a backfill does to rows, and what it leaves alone."""

import asyncio
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from tests.backfill.conftest import (
    COLUMN,
    NAMES,
    TABLE,
    Fill,
    Names,
    add_rows,
    after_a_block,
    stored,
)
from tests.backfill.recorded import RecordedService, vector_of
from tests.search.partitioned import KEYS, make_partitioned
from vla_embeddings import EmbeddingCache, EmbeddingConfig, EmbeddingService
from vla_embeddings.backfill import BackfillProgress, BackfillReport, backfill
from vla_embeddings.backfill.engine import BLOCK_ROWS
from vla_embeddings.backfill.pace import Pace
from vla_embeddings.errors import DimensionMismatch, InvalidInput, UnknownName
from vla_embeddings.metrics import BACKFILL_ROWS
from vla_embeddings.samples import make_instructions
from vla_embeddings.search import Database, index_embedding, list_indexes


async def _state(db: Database) -> tuple[object, ...]:
    """Everything that a backfill might change."""
    rows = await db.pool.fetch(f"SELECT xmin::text, * FROM {TABLE} ORDER BY id")
    comment = await db.pool.fetchval(
        f"SELECT obj_description('{TABLE}'::regclass) || col_description('{TABLE}'::regclass, 1)"
    )
    return tuple(map(tuple, rows)), comment, await list_indexes(db)


async def test_every_row_without_a_vector_gets_the_services_own(
    db: Database, service: EmbeddingService, fill: Fill
) -> None:
    instructions = await fill(600)
    kept = np.eye(1, 384, dtype=np.float32)[0]
    await index_embedding(db, TABLE, "id", 5, COLUMN, kept)
    seen: list[BackfillProgress] = []
    before = BACKFILL_ROWS.labels("text", "embedded")._value.get()

    report = await backfill(db, service, **NAMES, progress=seen.append)

    vectors = await stored(db)
    assert (report.plan.vectors, report.plan.pending, report.embedded) == (1, 599, 599)
    assert (report.failed, report.left, report.stopped) == ((), 0, False)
    np.testing.assert_array_equal(vectors.pop(5), kept)
    expected = await service.batch_generate_embeddings(texts=instructions)
    for key, vector in vectors.items():
        np.testing.assert_allclose(vector, expected["text_embeddings"][key - 1], atol=1e-5)
    rows = [progress for progress in seen if progress.phase == "rows"]
    assert rows[-1] == BackfillProgress("rows", 599, 599)
    assert BACKFILL_ROWS.labels("text", "embedded")._value.get() == before + 599
    [index] = await list_indexes(db, TABLE)
    assert (index.name, index.state) == (report.index, "valid")


async def test_the_column_remembers_the_model(
    db: Database, service: EmbeddingService, fill: Fill
) -> None:
    await fill(3)

    await backfill(db, service, **NAMES)

    comment = await db.pool.fetchval(
        "SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attname = $1 "
        "AND attrelid = $2::regclass",
        COLUMN,
        TABLE,
    )
    assert comment == f"vla-embeddings: {await service.fingerprint('text')}"


async def test_the_cache_is_neither_asked_nor_filled(
    db: Database, redis_url: str, models_dir: Path, fill: Fill
) -> None:
    await fill(20)
    async with EmbeddingService(
        cache=(cache := EmbeddingCache(redis_url=redis_url, deadline=10.0)),
        config=EmbeddingConfig(models_dir=models_dir),
    ) as service:
        await cache.clear_pattern("*")
        await backfill(db, service, **NAMES)
        stats = await cache.get_stats()

    assert stats["total_keys"] == stats["hits"] == stats["misses"] == 0


async def test_rows_that_cannot_be_embedded_are_named_and_stop_nothing(
    db: Database, service: EmbeddingService
) -> None:
    texts: list[str | None] = [*make_instructions(300)]
    texts[7], texts[100], texts[299] = None, " \n", "x" * 100_001
    await add_rows(db, texts)

    first = await backfill(db, service, **NAMES)
    second = await backfill(db, service, **NAMES)

    assert (first.embedded, second.embedded) == (297, 0)
    for report in (first, second):
        reasons = {row.id: row.reason for row in report.failed}
        assert reasons.keys() == {8, 101, 300}
        assert reasons[8] == "It is NULL."
        assert "blank" in reasons[101]
        assert "100,001" in reasons[300]
        assert report.left == 0


async def test_a_row_whose_vector_a_trigger_keeps_out_has_failed_and_is_embedded_once(
    db: Database, fill: Fill
) -> None:
    instructions = await fill(10)
    await db.pool.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        f"CREATE TRIGGER refuse BEFORE UPDATE ON {TABLE} "
        "FOR EACH ROW WHEN (OLD.id IN (3, 8)) EXECUTE FUNCTION refuse()"
    )
    record: list[str] = []
    before = BACKFILL_ROWS.labels("text", "embedded")._value.get()

    report = await backfill(db, RecordedService(record), **NAMES)

    assert (report.embedded, report.left) == (8, 0)
    assert [row.id for row in report.failed] == [3, 8]
    assert "trigger" in report.failed[0].reason
    assert len(await stored(db)) == 8
    assert sorted(record) == sorted(instructions)
    assert BACKFILL_ROWS.labels("text", "embedded")._value.get() == before + 8


async def test_a_table_of_nothing_but_bad_rows_comes_to_an_end(
    db: Database, service: EmbeddingService
) -> None:
    await add_rows(db, [None] * 700)

    report = await backfill(db, service, **NAMES)

    assert sorted(row.id for row in report.failed) == list(range(1, 701))


async def test_a_dry_run_counts_and_changes_nothing(
    db: Database, service: EmbeddingService, fill: Fill
) -> None:
    await fill(50)
    before = await _state(db)

    report = await backfill(db, service, **NAMES, dry_run=True)

    assert await _state(db) == before
    assert report == BackfillReport(report.plan, left=50, dry_run=True)
    assert (report.plan.pending, report.plan.index) == (50, "create")


async def test_an_empty_table_is_done_and_gets_no_index(
    db: Database, service: EmbeddingService
) -> None:
    report = await backfill(db, service, **NAMES)

    assert (report.plan.pending, report.embedded, report.index) == (0, 0, None)
    assert report.rows_per_second == 0


async def test_a_second_run_finds_nothing_to_do(
    db: Database, service: EmbeddingService, fill: Fill
) -> None:
    await fill(30)
    await backfill(db, service, **NAMES)
    before = await _state(db)

    report = await backfill(db, service, **NAMES)

    assert (report.plan.pending, report.plan.index) == (0, "leave")
    assert await _state(db) == before


@pytest.mark.parametrize(
    ("type_", "key"),
    [
        ("uuid", "gen_random_uuid()"),
        ("text", "'clé ' || md5(n::text)"),
        ("bytea", "sha256(n::text::bytea)"),
        ("timestamptz", "now() - n * interval '1 microsecond'"),
        ("numeric", "n / 7.0"),
        ("smallint", "-n"),
        ('varchar(40) COLLATE "C"', "md5(n::text)"),
    ],
)
async def test_a_key_may_be_of_any_type_that_has_an_order(
    db: Database, service: EmbeddingService, type_: str, key: str
) -> None:
    await db.pool.execute(
        f'CREATE SCHEMA "My Robots"; CREATE TABLE "My Robots"."Näme ""x""" ("Der Schlüssel" '
        f'{type_} PRIMARY KEY, "Text" varchar, {COLUMN} halfvec(384)); '
        f'INSERT INTO "My Robots"."Näme ""x""" '
        f"SELECT {key}, 'push ' || n % 7 FROM generate_series(1, 600) AS n"
    )

    report = await backfill(
        db,
        service,
        table='My Robots.Näme "x"',
        source_column="Text",
        embedding_column=COLUMN,
        filters={"Der Schlüssel": {"is_null": False}},
    )

    assert (report.embedded, report.left) == (600, 0)
    assert report.index is not None


async def test_a_key_that_is_not_a_number_is_a_key_like_any_other(db: Database) -> None:
    await db.pool.execute(
        f"CREATE TABLE t (id float8 PRIMARY KEY, s text, {COLUMN} vector(384));"
        "INSERT INTO t VALUES (1, 'go'), ('NaN', NULL), ('Infinity', NULL)"
    )

    report = await backfill(
        db, RecordedService([]), table="t", source_column="s", embedding_column=COLUMN
    )

    assert (report.embedded, report.left) == (1, 0)
    assert [str(row.id) for row in report.failed] == ["inf", "nan"]


@pytest.mark.parametrize(
    ("kind", "at"), [("timestamptz", "0044-03-15 BC"), ("date", "20000-03-15")]
)
async def test_a_key_that_python_cannot_hold_is_said_and_filters_leave_it_out(
    db: Database, kind: str, at: str
) -> None:
    await db.pool.execute(
        f"CREATE TABLE t (at {kind} PRIMARY KEY, s text, {COLUMN} vector(384));"
        f"INSERT INTO t VALUES ('{at}', 'et tu'), ('2026-03-15', 'go')"
    )
    names = Names(table="t", source_column="s", embedding_column=COLUMN)

    with pytest.raises(InvalidInput, match=r"before Christ.*Leave such rows out by filters"):
        await backfill(db, RecordedService([]), **names)

    years = {"gte": datetime(2000, 1, 1, tzinfo=UTC), "lt": datetime(3000, 1, 1, tzinfo=UTC)}
    report = await backfill(db, RecordedService([]), **names, filters={"at": years})
    assert report.embedded == 1


@pytest.mark.parametrize("table", KEYS)
async def test_a_partitioned_table_is_filled_and_indexed(db: Database, table: str) -> None:
    """By hash, and by list, where the primary key has two columns and ids alone are not unique."""
    await make_partitioned(db, np.eye(384, dtype=np.float32))
    await db.pool.execute(
        f"UPDATE {table} SET {COLUMN} = NULL, instruction = customer_id || ' lifts ' || id;"
        f"UPDATE {table} SET instruction = NULL WHERE customer_id = 'customer_3' AND id > 80"
    )

    report = await backfill(
        db, RecordedService([]), table=table, source_column="instruction", embedding_column=COLUMN
    )

    rows = await db.pool.fetch(f"SELECT *, {COLUMN}::real[] AS vector FROM {table}")
    assert report.embedded == sum(row["vector"] is not None for row in rows)
    assert {row.id for row in report.failed} == {
        row["id"] if table == "by_hash" else (row["customer_id"], row["id"])
        for row in rows
        if row["instruction"] is None
    }
    for row in rows:
        if row["vector"] is not None:
            np.testing.assert_array_equal(row["vector"], vector_of(row["instruction"]))
    [index] = await list_indexes(db, table)
    assert (index.name, index.state, index.partitioned) == (report.index, "valid", True)


@pytest.mark.parametrize(
    ("definition", "error", "words"),
    [
        ("TABLE t (id int, s text, e vector(384))", InvalidInput, "has no primary key"),
        (
            f"VIEW t AS SELECT id, instruction AS s, {COLUMN} AS e FROM {TABLE}",
            InvalidInput,
            "is a",
        ),
        ("TABLE t (id int PRIMARY KEY, s bytea, e vector(384))", InvalidInput, "bytea, not text"),
        ("TABLE t (id int PRIMARY KEY, s text[], e vector(384))", InvalidInput, "plain value"),
        ("TABLE t (id int PRIMARY KEY, s text, e text)", InvalidInput, "not vector or halfvec"),
        ("TABLE t (id int PRIMARY KEY, e vector(384))", UnknownName, "no column 's'"),
        ("TABLE u ()", UnknownName, "no table 't'"),
    ],
)
async def test_an_unsuitable_table_is_refused_with_the_reason(
    db: Database,
    service: EmbeddingService,
    definition: str,
    error: type[Exception],
    words: str,
) -> None:
    await db.pool.execute(f"CREATE {definition}")

    with pytest.raises(error, match=words):
        await backfill(db, service, table="t", source_column="s", embedding_column="e")


@pytest.mark.parametrize("replace", [False, True])
async def test_a_column_of_another_dimension_is_refused_before_anything_is_changed(
    db: Database, service: EmbeddingService, replace: bool
) -> None:
    await db.pool.execute(
        "CREATE TABLE t (id int PRIMARY KEY, s text, e vector(3));"
        "INSERT INTO t VALUES (1, 'go', '[1, 2, 3]'), (2, 'stop', NULL)"
    )

    with pytest.raises(DimensionMismatch, match="3 dimensions; got 384"):
        await backfill(
            db, service, table="t", source_column="s", embedding_column="e", replace=replace
        )

    assert await db.pool.fetchval("SELECT count(e) FROM t") == 1


async def test_an_engine_of_sqlalchemy_serves_as_well(db: Database, dsn: str, fill: Fill) -> None:
    await fill(600)
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn)
    )

    report = await backfill(engine, RecordedService([]), **NAMES)

    await engine.dispose()
    assert report.embedded == len(await stored(db)) == 600


async def test_filters_choose_the_rows(
    db: Database, service: EmbeddingService, fill: Fill
) -> None:
    await fill(40)
    await db.pool.execute(f"UPDATE {TABLE} SET customer_id = (ARRAY['a', 'b'])[1 + id % 2]")

    report = await backfill(db, service, **NAMES, filters={"customer_id": "b"})

    assert report.plan.pending == report.embedded == 20
    assert all(key % 2 for key in await stored(db))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rows_per_second": 0}, "above 0"),
        ({"rows_per_second": float("nan")}, "above 0"),
        ({"root": Path("/")}, "root is for images"),
        ({"filters": {"id": "one"}}, "is of type"),
        ({"replace": True, "filters": {"customer_id": "a"}}, "whole column"),
    ],
)
async def test_an_unusable_argument_is_refused(
    db: Database, service: EmbeddingService, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        await backfill(db, service, **NAMES, **arguments)


async def test_one_connection_is_not_enough(db: Database, service: EmbeddingService) -> None:
    async with db.pool.acquire() as connection:
        with pytest.raises(InvalidInput, match="several connections"):
            await backfill(connection, service, **NAMES)


async def test_a_stopped_run_ends_after_its_blocks_and_the_next_one_goes_on(
    db: Database, fill: Fill
) -> None:
    await fill(2000)
    service, stop = RecordedService([]), asyncio.Event()

    report = await backfill(db, service, **NAMES, stop=stop, progress=after_a_block(stop))

    assert report.stopped
    assert report.index is None
    assert 0 < report.embedded <= 3 * BLOCK_ROWS["text"]
    assert report.left == 2000 - report.embedded == 2000 - len(await stored(db))
    rest = await backfill(db, service, **NAMES)
    assert (rest.embedded, rest.left) == (report.left, 0)


async def test_blocks_shrink_with_the_rate_and_a_stop_ends_the_waiting() -> None:
    assert Pace(None, block_rows=256).block_rows == 256
    assert Pace(50.0, block_rows=256).block_rows == 50
    pace, stop = Pace(0.001, block_rows=256), asyncio.Event()
    assert pace.block_rows == 1
    await pace.wait(stop)
    waiting = asyncio.create_task(pace.wait(stop))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    stop.set()
    await waiting


async def test_keys_of_the_report_are_the_rows_own(
    db: Database, service: EmbeddingService
) -> None:
    await db.pool.execute(
        f"CREATE TABLE t (id uuid PRIMARY KEY, s text, {COLUMN} vector(384)); "
        "INSERT INTO t VALUES ('00000000-0000-0000-0000-000000000007', '')"
    )

    report = await backfill(db, service, table="t", source_column="s", embedding_column=COLUMN)

    assert [row.id for row in report.failed] == [uuid.UUID(int=7)]
