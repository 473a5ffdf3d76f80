"""The calls of the user's document, as written there, on each kind of handle."""

import logging
from collections.abc import AsyncIterator

import asyncpg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from tests.search.conftest import FILLED, unit_vectors
from vla_embeddings.search import (
    Database,
    batch_index_embeddings,
    cosine_similarity_search,
    create_hnsw_index,
    create_ivfflat_index,
    create_schema,
    euclidean_distance_search,
    index_embedding,
)
from vla_embeddings.search.handles import Handle, connected


@pytest.fixture(params=["Database", "Pool", "Connection", "Engine", "AsyncConnection", "Session"])
async def session(request: pytest.FixtureRequest, dsn: str) -> AsyncIterator[Handle]:
    """Each kind of handle in turn."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn)
    )
    match request.param:
        case "Database":
            async with await Database.connect(dsn) as database:
                yield database
        case "Pool":
            async with asyncpg.create_pool(dsn, min_size=1) as pool:
                yield pool
        case "Connection":
            connection = await asyncpg.connect(dsn)
            yield connection
            await connection.close()
        case "Engine":
            yield engine
        case "AsyncConnection":
            async with engine.connect() as alchemy:
                yield alchemy
        case "Session":
            async with AsyncSession(engine) as alchemy_session:
                yield alchemy_session
    await engine.dispose()


async def test_the_documents_calls_work_with_every_handle(
    session: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vla_embeddings.search")
    vectors = unit_vectors(8)
    await create_schema(session)
    async with connected(session, writing=True) as connection:
        await connection.execute(
            "INSERT INTO instruction_analytics (id, instruction, model_type) "
            "SELECT n, 'instruction ' || n, 'openvla' FROM generate_series(1, 8) n"
        )

    assert await index_embedding(
        db=session,
        table="instruction_analytics",
        id_column="id",
        id_value=1,
        embedding_column="instruction_embedding",
        embedding=vectors[0],
    )
    count = await batch_index_embeddings(
        db=session,
        table="instruction_analytics",
        id_column="id",
        embedding_column="instruction_embedding",
        embeddings=[{"id": n + 1, "embedding": vectors[n]} for n in range(1, 8)],
    )
    assert count == 7
    await create_hnsw_index(
        db=session,
        table="instruction_analytics",
        embedding_column="instruction_embedding",
        m=16,
        ef_construction=64,
        distance_metric="cosine",
    )
    await create_ivfflat_index(
        db=session,
        table="instruction_analytics",
        embedding_column="instruction_embedding",
        lists=100,
        distance_metric="cosine",
    )
    await create_hnsw_index(session, "instruction_analytics", "instruction_embedding")
    similar = await cosine_similarity_search(
        db=session,
        table="instruction_analytics",
        embedding_column="instruction_embedding",
        query_embedding=vectors[2],
        top_k=10,
        threshold=0.7,
        filters={"model_type": "openvla"},
    )
    near = await euclidean_distance_search(
        db=session,
        table="instruction_analytics",
        embedding_column="instruction_embedding",
        query_embedding=vectors[2],
        top_k=10,
        max_distance=0.5,
        filters={"model_type": "openvla"},
    )

    assert similar[0]["instruction"] == "instruction 3"
    assert similar[0]["similarity"] == pytest.approx(1.0, abs=1e-6)
    assert set(similar[0]) == {
        "id", "customer_id", "model_type", "robot_type", "instruction", "created_at", "similarity",
    }  # fmt: skip
    assert near[0]["distance"] == pytest.approx(0.0, abs=1e-6)
    expected = f"Found {len(similar)} similar instructions with similarity >= 0.7"
    assert expected in caplog.messages


async def test_top_k_and_threshold_default_to_the_configuration(library: Database) -> None:
    rows = await cosine_similarity_search(
        library, "instruction_analytics", "instruction_embedding", FILLED[0]
    )

    assert len(rows) == 10
    assert all(row["similarity"] >= 0.7 for row in rows)


async def test_each_search_is_counted_and_timed(library: Database) -> None:
    def sample(name: str) -> float:
        return REGISTRY.get_sample_value(name, {"metric": "cosine"}) or 0.0

    before = sample("similarity_search_seconds_count"), sample("similarity_search_results_sum")
    await cosine_similarity_search(
        library, "instruction_analytics", "instruction_embedding", FILLED[0], 4, -1.0
    )

    assert sample("similarity_search_seconds_count") == before[0] + 1
    assert sample("similarity_search_results_sum") == before[1] + 4
