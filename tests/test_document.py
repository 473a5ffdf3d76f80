"""The user's own description of the service, run block by block as it is written."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from tests.blocks import code_blocks, run_block
from tests.cache.servers import make_caches_patient
from vla_embeddings.cache import EmbeddingCache
from vla_embeddings.config import EmbeddingConfig
from vla_embeddings.samples import make_scenes
from vla_embeddings.search import create_ivfflat_index, create_schema
from vla_embeddings.service import EmbeddingService

# The document's import paths are the platform's; these are where the names live here.
HOMES = {
    "src.config.embedding_config": "vla_embeddings",
    "src.services.embeddings": "vla_embeddings",
    "src.utils.vector_search": "vla_embeddings.search",
}
# The first is the inference service's own code, the second downloads a model.
NOT_OURS = ("inference_service", "SentenceTransformer(")


@pytest.fixture
async def session(database: str) -> AsyncIterator[AsyncSession]:
    """A session on the document's tables, with four rows, all undone at the end."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(database)
    )
    async with AsyncSession(engine) as session:
        await create_schema(session)
        await session.execute(
            text(
                "INSERT INTO instruction_analytics (id, instruction, model_type) VALUES "
                "(1, 'grasp the red cube', 'openvla'), (2, 'pick up the cube', 'openvla'), "
                "(3, 'grab the cube', 'octo'), (123, 'open the drawer', 'openvla')"
            )
        )
        yield session
        await session.rollback()
    await engine.dispose()


async def test_every_block_of_the_document_runs_as_written(
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    session: AsyncSession,
    redis_url: str,
    models_dir: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    document = (shared_data.parent / "document.md").read_text()
    for theirs, ours in {
        **HOMES,
        "redis://localhost:6379": redis_url,
        # Where no trained CLIP is to be had, the document's calls must be told so.
        "EmbeddingService(cache=cache": (
            "EmbeddingService(config=config, allow_untrained=True, cache=cache"
        ),
    }.items():
        document = document.replace(theirs, ours)
    scene = make_scenes(1)[0].image
    scene.save(tmp_path / "robot_view.jpg")
    monkeypatch.chdir(tmp_path)
    make_caches_patient(monkeypatch)
    caplog.set_level("DEBUG", "vla_embeddings")
    config = EmbeddingConfig(models_dir=models_dir)
    async with EmbeddingCache(redis_url=redis_url) as cache:
        await cache.clear_pattern("*")
    async with EmbeddingService(config=config) as service:
        vectors = await service.batch_generate_embeddings(
            texts=["grasp the red cube", "pick up the cube", "grab the cube", "open the drawer"]
        )
    emb1, emb2, emb3, instruction_embedding = vectors["text_embeddings"]
    names: dict[str, Any] = {"config": config, "session": session, "db": session}
    names |= {"emb1": emb1, "emb2": emb2, "emb3": emb3, "image1": scene, "image2": scene}
    names |= {"image3": scene, "instruction_embedding": instruction_embedding}
    names |= {"create_ivfflat_index": create_ivfflat_index}  # used there without its import
    blocks = [
        block
        for block in code_blocks(document, "python")
        if not any(word in block for word in NOT_OURS)
    ]
    searching = next(n for n, block in enumerate(blocks) if "for result in" in block)
    indexing = next(n for n, block in enumerate(blocks) if "batch_index" in block)
    # The document searches before it has shown how to store.
    blocks.insert(searching, blocks.pop(indexing))

    made: dict[int, EmbeddingCache | EmbeddingService] = {}
    for block in blocks:
        await run_block(block, names)
        made |= {id(names[name]): names[name] for name in ("cache", "service") if name in names}

    for thing in made.values():
        if isinstance(thing, EmbeddingService):
            thing.cleanup()
        else:
            await thing.close()

    printed = capsys.readouterr().out
    assert "all-MiniLM-L6-v2\n0.7\nTrue\n" in printed
    assert "(384,)\n(512,)\n" in printed
    assert "Indexed 3 embeddings\n" in printed
    assert "pick up the cube: 0." in printed
    assert "grab the cube: " not in printed  # it is another model's
    assert "(3, 384)\n(3, 512)\n" in printed
    assert "Memory used: " in printed
    assert "Generated embedding shape: (384,)" in caplog.text
    assert re.search(
        r"Cache hit for instruction embedding: embedding:instruction:\w+", caplog.text
    )
    assert re.search(r"Found \d similar instructions with similarity >= 0.7", caplog.text)
