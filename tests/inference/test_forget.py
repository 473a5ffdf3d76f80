"""A customer's vectors go, wherever they are, and nobody else's."""

import asyncio

import pytest

from tests.inference.test_consent import UUID, Counted
from tests.outage import Proxy
from vla_embeddings import EmbeddingService
from vla_embeddings.errors import DatabaseUnavailable, InvalidInput
from vla_embeddings.inference import Forgotten, InferenceEmbeddings
from vla_embeddings.samples import make_scenes
from vla_embeddings.search import Database


async def infer(inference: InferenceEmbeddings, customer_id: str, analytics_id: int) -> None:
    await inference.beside(
        asyncio.sleep(0),
        instruction="open the drawer",
        image=make_scenes(1)[0].image,
        customer_id=customer_id,
        analytics_id=analytics_id,
    )


async def holders(db: Database, table: str, column: str) -> set[str]:
    rows = await db.pool.fetch(f"SELECT customer_id FROM {table} WHERE {column} IS NOT NULL")
    return {row["customer_id"] for row in rows}


async def test_forgetting_clears_both_tables_and_says_how_many(
    service: EmbeddingService, db: Database
) -> None:
    await db.pool.execute("INSERT INTO instruction_analytics (id) VALUES (1), (2), (3)")
    check = Counted("ann", "bob")
    async with InferenceEmbeddings(service, db, consent=check, budget_ms=20_000) as inference:
        await infer(inference, "ann", 1)
        await infer(inference, "ann", 2)
        await infer(inference, "bob", 3)

    async with InferenceEmbeddings(service, db, consent=check) as inference:
        assert await inference.forget_customer("ann") == Forgotten(2, 2, waiting=0)
        assert await inference.forget_customer("ann") == Forgotten(0, 0, waiting=0)

    assert await holders(db, "instruction_analytics", "instruction_embedding") == {"bob"}
    assert await holders(db, "context_metadata", "image_embedding") == {"bob"}
    assert await db.pool.fetchval("SELECT count(*) FROM instruction_analytics") == 3


async def test_an_id_that_is_no_string_is_refused(service: EmbeddingService, db: Database) -> None:
    async with InferenceEmbeddings(service, db) as inference:
        with pytest.raises(InvalidInput, match="customer_id must be a string; got 7"):
            await inference.forget_customer(7)  # type: ignore[arg-type]  # as an untyped caller


async def test_what_waits_under_another_spelling_of_the_customers_uuid_is_dropped_too(
    service: EmbeddingService, db: Database, fragile: Database, proxy: Proxy
) -> None:
    await db.pool.execute("INSERT INTO instruction_analytics (id) VALUES (1), (2)")
    check = Counted(UUID.upper(), "bob")
    async with InferenceEmbeddings(service, fragile, consent=check, budget_ms=20_000) as inference:
        await proxy.shut()
        await infer(inference, UUID.upper(), 1)
        await infer(inference, "bob", 2)
        await asyncio.sleep(0.1)
        with pytest.raises(DatabaseUnavailable):
            await inference.forget_customer(UUID)
        await proxy.open()

    assert await holders(db, "instruction_analytics", "instruction_embedding") == {"bob"}


async def test_what_waits_is_dropped_and_later_vectors_need_a_new_yes(
    service: EmbeddingService, db: Database, fragile: Database, proxy: Proxy
) -> None:
    await db.pool.execute("INSERT INTO instruction_analytics (id) VALUES (1), (2), (3)")
    check = Counted("ann", "bob")
    async with InferenceEmbeddings(service, fragile, consent=check, budget_ms=20_000) as inference:
        await proxy.shut()
        await infer(inference, "ann", 1)
        await infer(inference, "bob", 2)
        await asyncio.sleep(0.1)
        check.agreed.remove("ann")
        with pytest.raises(DatabaseUnavailable):
            await inference.forget_customer("ann")
        await infer(inference, "ann", 3)
        await proxy.open()

    assert await holders(db, "instruction_analytics", "instruction_embedding") == {"bob"}
    assert await holders(db, "context_metadata", "image_embedding") == {"bob"}
