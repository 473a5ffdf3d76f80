"""What was accepted is stored, whatever happens meanwhile, or reported with its id."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import asyncpg
import numpy as np
import pytest
from prometheus_client import REGISTRY

from tests.inference.eventually import eventually
from tests.inference.test_consent import Counted
from tests.outage import Proxy
from vla_embeddings import EmbeddingService
from vla_embeddings.inference import Attempt, Inference, recorder
from vla_embeddings.inference.consent import Consent
from vla_embeddings.inference.forget import clear
from vla_embeddings.inference.record import Kind, OnLost
from vla_embeddings.inference.recorder import Recorder
from vla_embeddings.inference.writer import Writer
from vla_embeddings.local import LocalPostgres
from vla_embeddings.search import Database, create_schema

DIMENSIONS: dict[Kind, int] = {"instruction": 384, "image": 512}
OUTAGE_SECONDS = 10
CUSTOMER = "customer_123"
REFUSING_TRIGGER = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN IF new.id = 7 THEN RAISE EXCEPTION ''not this one''; END IF; RETURN new; END';"
    "CREATE TRIGGER refuse BEFORE UPDATE ON instruction_analytics "
    "FOR EACH ROW EXECUTE FUNCTION refuse()"
)
SILENT_TRIGGER = REFUSING_TRIGGER.replace("RAISE EXCEPTION ''not this one''", "RETURN NULL")


@asynccontextmanager
async def recording(
    service: EmbeddingService,
    db: Database,
    *,
    check: Counted | None = None,
    queue_rows: int = 20_000,
    flush_seconds: float = 30.0,
    on_lost: OnLost | None = None,
) -> AsyncIterator[Recorder]:
    consent = Consent(check or Counted(CUSTOMER, "another"), ttl=0.0)
    made = Recorder(Writer(service, db, consent), queue_rows=queue_rows, on_lost=on_lost)
    made.start()
    yield made
    await made.flush(seconds=flush_seconds)
    made.abandon()


def accept(
    made: Recorder,
    kind: Kind,
    ids: Iterable[int],
    *,
    customer_id: str = CUSTOMER,
    agreed: bool = True,
) -> None:
    for number in ids:
        vector = np.zeros(DIMENSIONS[kind], np.float32)
        vector[number % len(vector)] = 1
        made.accept(Inference(number, customer_id, "franka_panda"), kind, vector, agreed=agreed)


async def add_rows(db: Database, ids: Sequence[int]) -> None:
    await db.pool.execute(
        "INSERT INTO instruction_analytics (id) SELECT unnest($1::bigint[])", list(ids)
    )


async def stored_ids(db: Database) -> list[int]:
    rows = await db.pool.fetch(
        "SELECT id FROM instruction_analytics WHERE instruction_embedding IS NOT NULL ORDER BY id"
    )
    return [row["id"] for row in rows]


async def test_each_vector_lands_in_the_row_of_its_inference(
    service: EmbeddingService, db: Database
) -> None:
    await add_rows(db, range(1000))

    async with recording(service, db) as made:
        accept(made, "instruction", range(1000))

    assert (
        await db.pool.fetchval(
            "SELECT count(*) FROM instruction_analytics WHERE customer_id = $1 "
            "AND (instruction_embedding::real[])[id % 384 + 1] = 1",
            CUSTOMER,
        )
        == 1000
    )


async def test_an_image_updates_its_context_row_or_adds_one(
    service: EmbeddingService, db: Database
) -> None:
    await db.pool.execute(
        "INSERT INTO context_metadata (analytics_id, image_path) VALUES (1, 'robot_view.jpg')"
    )

    async with recording(service, db) as made:
        accept(made, "image", [1, 2, 2])

    rows = await db.pool.fetch(
        "SELECT analytics_id, customer_id, robot_type, image_path, image_embedding::real[] AS v "
        "FROM context_metadata ORDER BY analytics_id"
    )
    assert [tuple(row)[:4] for row in rows] == [
        (1, CUSTOMER, None, "robot_view.jpg"),
        (2, CUSTOMER, "franka_panda", None),
    ]
    assert all(row["v"][row["analytics_id"]] == 1 for row in rows)


async def test_the_columns_remember_the_model_that_filled_them(
    service: EmbeddingService, db: Database
) -> None:
    async with recording(service, db) as made:
        accept(made, "image", [1])

    comment = await db.pool.fetchval(
        "SELECT col_description('context_metadata'::regclass, attnum) FROM pg_attribute "
        "WHERE attrelid = 'context_metadata'::regclass AND attname = 'image_embedding'"
    )
    assert await service.fingerprint("image") in comment


async def test_ten_thousand_vectors_outlive_a_database_that_is_down_for_ten_seconds(
    service: EmbeddingService, db: Database, fragile: Database, proxy: Proxy
) -> None:
    await add_rows(db, range(10_000))
    before = _value("embedding_stored_total", kind="instruction")
    lost: list[Attempt] = []

    async with recording(service, fragile, on_lost=lost.append) as made:
        accept(made, "instruction", range(4000))
        await asyncio.sleep(0.1)
        await proxy.shut()
        accept(made, "instruction", range(4000, 10_000))
        await asyncio.sleep(OUTAGE_SECONDS)
        assert _value("embedding_storage_queue_depth") >= 6000
        await proxy.open()

    assert await stored_ids(db) == list(range(10_000))
    assert lost == []
    assert _value("embedding_stored_total", kind="instruction") == before + 10_000
    assert _value("embedding_storage_queue_depth") == 0


async def test_killed_connections_lose_nothing(
    service: EmbeddingService, db: Database, dsn: str
) -> None:
    await add_rows(db, range(3000))
    killer = await asyncpg.connect(dsn)

    async with recording(service, db) as made:
        for start in range(0, 3000, 300):
            accept(made, "instruction", range(start, start + 300))
            await asyncio.sleep(0.03)
            await killer.execute(
                "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    assert await stored_ids(db) == list(range(3000))
    await killer.close()


async def test_a_server_that_crashes_and_recovers_loses_nothing(service: EmbeddingService) -> None:
    # A crash may take what was committed without waiting for its log to be written.
    with LocalPostgres(settings={"synchronous_commit": "on"}) as server:
        async with await Database.connect(server.dsn, max_size=2) as db:
            await create_schema(db)
            await add_rows(db, range(2000))
            async with recording(service, db) as made:
                accept(made, "instruction", range(1000))
                await asyncio.sleep(0.1)
                backend = await db.pool.fetchval("SELECT pg_backend_pid()")
                os.kill(backend, signal.SIGKILL)  # the server ends all others and restarts
                accept(made, "instruction", range(1000, 2000))

            assert await stored_ids(db) == list(range(2000))


async def test_a_row_that_is_committed_later_gets_its_vector(
    service: EmbeddingService, db: Database, dsn: str
) -> None:
    """The platform's own transaction may end after the inference."""
    platform = await asyncpg.connect(dsn)
    transaction = platform.transaction()
    await transaction.start()
    await platform.execute("INSERT INTO instruction_analytics (id) VALUES (1)")

    async with recording(service, db) as made:
        accept(made, "instruction", [1])
        await asyncio.sleep(0.2)
        assert await stored_ids(db) == []
        await transaction.commit()

    assert await stored_ids(db) == [1]
    await platform.close()


async def test_a_row_that_never_comes_is_reported_with_its_id(
    service: EmbeddingService,
    db: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(recorder, "PATIENCE_SECONDS", 0.2)
    await add_rows(db, [1])
    before = _value("embedding_storage_failed_total", reason="no row")
    lost: list[Attempt] = []

    async with recording(service, db, on_lost=lost.append) as made:
        accept(made, "instruction", [1, 2])

    assert await stored_ids(db) == [1]
    assert [(attempt.record.inference.analytics_id, attempt.fate) for attempt in lost] == [
        (2, "no row")
    ]
    assert _value("embedding_storage_failed_total", reason="no row") == before + 1
    [entry] = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert entry.__dict__["analytics_id"] == 2
    assert entry.__dict__["customer_id"] == CUSTOMER
    assert entry.__dict__["reason"] == "no row"
    assert entry.__dict__["embedding_kind"] == "instruction"


async def test_another_customers_row_is_left_alone(
    service: EmbeddingService, db: Database
) -> None:
    await db.pool.execute("INSERT INTO instruction_analytics (id, customer_id) VALUES (1, 'ann')")
    await db.pool.execute(
        "INSERT INTO context_metadata (analytics_id, customer_id) VALUES (1, 'ann')"
    )
    lost: list[Attempt] = []

    async with recording(service, db, on_lost=lost.append) as made:
        accept(made, "instruction", [1])
        accept(made, "image", [1])

    assert [attempt.fate for attempt in lost] == ["row of another customer"] * 2
    assert await stored_ids(db) == []


@pytest.mark.parametrize(
    ("rule", "fate"),
    [
        (
            "ALTER TABLE instruction_analytics "
            "ADD CHECK (id <> 7 OR instruction_embedding IS NULL)",
            "refused by the database",
        ),
        (
            REFUSING_TRIGGER,
            "blocked",
        ),
        (
            SILENT_TRIGGER,
            "blocked",
        ),
        (
            f"UPDATE instruction_analytics SET customer_id = '{CUSTOMER}'; {SILENT_TRIGGER}",
            "blocked",
        ),
    ],
    ids=["constraint", "trigger", "silent trigger", "silent trigger on the customer's row"],
)
async def test_a_bad_row_does_not_sink_its_batch(
    service: EmbeddingService,
    db: Database,
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    fate: str,
) -> None:
    # Longer than the first attempt takes: the row is tried again, then alone.
    monkeypatch.setattr(recorder, "PATIENCE_SECONDS", 1.0)
    await add_rows(db, range(20))
    await db.pool.execute(rule)
    lost: list[Attempt] = []

    async with recording(service, db, on_lost=lost.append) as made:
        accept(made, "instruction", range(20))

    assert await stored_ids(db) == [number for number in range(20) if number != 7]
    assert [(attempt.record.inference.analytics_id, attempt.fate) for attempt in lost] == [
        (7, fate)
    ]


async def test_a_trigger_that_refuses_a_lone_row_is_reported(
    service: EmbeddingService, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "PATIENCE_SECONDS", 0.2)
    await add_rows(db, [7])
    await db.pool.execute(REFUSING_TRIGGER)
    lost: list[Attempt] = []

    async with recording(service, db, on_lost=lost.append) as made:
        accept(made, "instruction", [7])

    assert [attempt.fate for attempt in lost] == ["blocked"]
    assert "not this one" in lost[0].detail


async def test_a_vector_that_one_of_its_rows_does_not_take_is_not_counted_as_stored(
    service: EmbeddingService, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trigger passes over the second of three rows; two vectors come for them."""
    monkeypatch.setattr(recorder, "PATIENCE_SECONDS", 0.2)
    await db.pool.execute(
        "INSERT INTO context_metadata (id, analytics_id, customer_id) "
        f"SELECT id, 456, '{CUSTOMER}' FROM generate_series(6, 8) AS id;"
        + SILENT_TRIGGER.replace("instruction_analytics", "context_metadata")
    )
    before = _value("embedding_stored_total", kind="image")
    lost: list[Attempt] = []

    async with recording(service, db, on_lost=lost.append) as made:
        accept(made, "image", [456, 456])

    assert _value("embedding_stored_total", kind="image") == before
    assert [attempt.fate for attempt in lost] == ["blocked"] * 2
    assert "kept the vector out" in lost[0].detail
    assert await db.pool.fetchval("SELECT count(image_embedding) FROM context_metadata") == 0


async def test_a_row_that_another_has_locked_waits_alone(
    service: EmbeddingService, db: Database, dsn: str
) -> None:
    """Neither the other rows nor the images wait for it, nor does a customer to be forgotten."""

    async def stored(*ids: int) -> bool:
        return await stored_ids(db) == list(ids)

    holder = await asyncpg.connect(dsn)
    await add_rows(db, range(5))
    lost: list[Attempt] = []

    async with recording(service, db, on_lost=lost.append) as made:
        async with holder.transaction():
            await holder.execute("UPDATE instruction_analytics SET robot_type = 'x' WHERE id = 3")
            accept(made, "instruction", range(5))
            accept(made, "image", range(5))
            await eventually(lambda: stored(0, 1, 2, 4))
            assert await made.forget("another") == 0
            assert await db.pool.fetchval("SELECT count(*) FROM context_metadata") == 5
        await eventually(lambda: stored(0, 1, 2, 3, 4))

    assert lost == []
    await holder.close()


async def test_a_row_that_others_refer_to_is_written_meanwhile(
    service: EmbeddingService, db: Database, dsn: str
) -> None:
    holder = await asyncpg.connect(dsn)
    await add_rows(db, [1])
    await db.pool.execute("CREATE TABLE steps (of bigint REFERENCES instruction_analytics)")

    async with holder.transaction():
        await holder.execute("INSERT INTO steps VALUES (1)")
        async with recording(service, db) as made:
            accept(made, "instruction", [1])

    assert await stored_ids(db) == [1]
    await holder.close()


async def test_consent_withdrawn_while_a_table_is_locked_keeps_the_vector_out(
    service: EmbeddingService, db: Database, dsn: str
) -> None:
    holder = await asyncpg.connect(dsn)
    await add_rows(db, [1])
    check = Counted(CUSTOMER)
    lost: list[Attempt] = []

    async def waiting(expected: bool) -> bool:
        lock = "datname = current_database() AND wait_event_type = 'Lock'"
        query = f"SELECT count(*) > 0 FROM pg_stat_activity WHERE {lock}"
        return bool(await holder.fetchval(query)) is expected

    async with (
        recording(service, db, check=check, on_lost=lost.append) as made,
        holder.transaction(),
    ):
        await holder.execute("LOCK TABLE instruction_analytics IN SHARE MODE")
        accept(made, "instruction", [1])
        await eventually(lambda: waiting(True))
        check.agreed.remove(CUSTOMER)
        await eventually(lambda: waiting(False))

    assert await stored_ids(db) == []
    assert lost == []
    await holder.close()


@pytest.mark.parametrize(
    ("kind", "customer"),
    [
        ("bigint", "5"),
        ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
        ("short", "customer"),
    ],
)
async def test_customers_ids_may_be_of_any_type(
    service: EmbeddingService, db: Database, kind: str, customer: str
) -> None:
    """An id that the column cannot hold is reported, and is never another's that it resembles."""
    await db.pool.execute("CREATE DOMAIN short AS varchar(8)")
    for table in ("instruction_analytics", "context_metadata"):
        await db.pool.execute(f"ALTER TABLE {table} DROP COLUMN customer_id")
        await db.pool.execute(f"ALTER TABLE {table} ADD COLUMN customer_id {kind}")
    await add_rows(db, [1, 2])
    await db.pool.execute(
        f"UPDATE instruction_analytics SET customer_id = '{customer}' WHERE id = 1"
    )
    longer = f"{customer}_longer"
    check = Counted(customer, longer)
    lost: list[Attempt] = []

    async with recording(service, db, check=check, on_lost=lost.append) as made:
        accept(made, "instruction", [1], customer_id=longer)
        accept(made, "instruction", [1, 2], customer_id=customer)
        accept(made, "image", [1], customer_id=customer)

    assert await stored_ids(db) == [1, 2]
    assert [attempt.record.inference.customer_id for attempt in lost] == [longer]
    forgotten = await clear(db, customer, waiting=0)
    assert (forgotten.instructions, forgotten.images) == (2, 1)


async def test_what_no_row_can_hold_is_refused_at_the_door(
    service: EmbeddingService, db: Database
) -> None:
    lost: list[Attempt] = []

    async with recording(service, db, on_lost=lost.append) as made:
        accept(made, "image", [2**63])
        accept(made, "image", [1], customer_id="\0")

    assert [attempt.fate for attempt in lost] == ["invalid input"] * 2


async def test_a_table_that_refuses_everything_makes_vectors_wait(
    service: EmbeddingService, db: Database
) -> None:
    """A failover or a migration ends; images need not wait for instructions meanwhile."""

    async def images_are_stored() -> bool:
        count = "SELECT count(image_embedding) FROM context_metadata"
        return bool(await db.pool.fetchval(count) == 5)

    await add_rows(db, range(5))
    lost: list[Attempt] = []

    async with recording(service, db, on_lost=lost.append) as made:
        await db.pool.execute("ALTER TABLE instruction_analytics RENAME TO moved")
        accept(made, "instruction", range(5))
        accept(made, "image", range(5))
        await eventually(images_are_stored)
        await db.pool.execute("ALTER TABLE moved RENAME TO instruction_analytics")

    assert await stored_ids(db) == list(range(5))
    assert lost == []


async def test_a_full_queue_reports_what_it_cannot_take(
    service: EmbeddingService, proxy: Proxy, fragile: Database
) -> None:
    lost: list[Attempt] = []
    await proxy.shut()

    async with recording(
        service, fragile, queue_rows=10, flush_seconds=0.1, on_lost=lost.append
    ) as made:
        accept(made, "image", range(12))

    assert [(attempt.record.inference.analytics_id, attempt.fate) for attempt in lost] == [
        *[(number, "queue full") for number in (10, 11)],
        *[(number, "shutdown") for number in range(10)],
    ]


async def test_a_halted_server_holds_up_no_shutdown(
    service: EmbeddingService, proxy: Proxy, fragile: Database
) -> None:
    lost: list[Attempt] = []

    async with recording(service, fragile, flush_seconds=0.3, on_lost=lost.append) as made:
        proxy.halt()
        accept(made, "image", [1])
        await asyncio.sleep(0.1)
        started = time.monotonic()

    assert time.monotonic() - started < 10
    assert [attempt.fate for attempt in lost] == ["shutdown"]


async def test_forget_drops_one_customers_waiting_vectors_and_keeps_the_others(
    service: EmbeddingService, db: Database, fragile: Database, proxy: Proxy
) -> None:
    await add_rows(db, range(5))
    await proxy.shut()
    before = _value("embedding_storage_refused_total", reason="forgotten")

    async with recording(service, fragile) as made:
        accept(made, "instruction", range(3))
        accept(made, "instruction", range(3, 5), customer_id="another")
        assert await made.forget(CUSTOMER) == 3
        assert _value("embedding_storage_refused_total", reason="forgotten") == before + 3
        await proxy.open()

    assert await stored_ids(db) == [3, 4]


async def test_what_comes_after_the_end_is_reported(
    service: EmbeddingService, db: Database
) -> None:
    lost: list[Attempt] = []
    async with recording(service, db, on_lost=lost.append) as made:
        pass

    accept(made, "image", [1])

    assert [attempt.fate for attempt in lost] == ["shutdown"]


async def test_consent_withdrawn_while_a_vector_waits_keeps_it_out(
    service: EmbeddingService, db: Database
) -> None:
    await add_rows(db, [1, 2])
    check = Counted(CUSTOMER, "another")
    before = _value("embedding_storage_refused_total", reason="withdrawn")
    lost: list[Attempt] = []

    async with recording(service, db, check=check, on_lost=lost.append) as made:
        accept(made, "instruction", [1])
        accept(made, "instruction", [2], customer_id="another")
        check.agreed.remove(CUSTOMER)

    assert await stored_ids(db) == [2]
    assert lost == []
    assert _value("embedding_storage_refused_total", reason="withdrawn") == before + 1


async def test_what_its_customer_did_not_agree_to_is_handed_to_nobody(
    service: EmbeddingService, proxy: Proxy, fragile: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A check that could not be asked: the vector waits, and its loss is only logged."""
    lost: list[Attempt] = []
    await proxy.shut()

    async with recording(service, fragile, flush_seconds=0.1, on_lost=lost.append) as made:
        accept(made, "image", [1], agreed=False)

    assert lost == []
    [entry] = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert entry.__dict__["analytics_id"] == 1


async def test_a_recorder_that_was_not_started_reports_what_it_gets(
    service: EmbeddingService, db: Database
) -> None:
    lost: list[Attempt] = []
    writer = Writer(service, db, Consent(Counted(CUSTOMER), ttl=0.0))

    accept(Recorder(writer, queue_rows=10, on_lost=lost.append), "image", [1])

    assert [attempt.fate for attempt in lost] == ["shutdown"]
    assert "async with" in lost[0].detail


async def test_an_on_lost_that_raises_stops_nothing(
    service: EmbeddingService, db: Database
) -> None:
    await add_rows(db, [1])

    def fail(attempt: Attempt) -> None:
        raise RuntimeError("the platform's own")

    async with recording(service, db, on_lost=fail) as made:
        accept(made, "image", [1], customer_id="\0")
        accept(made, "instruction", [1])

    assert await stored_ids(db) == [1]


def _value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0
