"""examples/vla_inference.py is an inference service as the platform's document calls it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.inference.test_consent import Counted
from vla_embeddings import EmbeddingService
from vla_embeddings.inference import InferenceEmbeddings
from vla_embeddings.samples import make_scenes
from vla_embeddings.search import Database

EXAMPLE = Path(__file__).parents[2] / "examples" / "vla_inference.py"


def test_the_example_runs_as_its_docstring_says(
    postgres_dsn: str, redis_url: str, models_dir: Path
) -> None:
    servers = {"EMBEDDING_DATABASE_URL": postgres_dsn, "EMBEDDING_REDIS_URL": redis_url}

    result = subprocess.run(
        [sys.executable, EXAMPLE, "--untrained"],
        env={**os.environ, **servers, "EMBEDDING_MODELS_DIR": str(models_dir)},
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert result.stdout.startswith("Action of a stand-in, no policy: [0. 0."), result.stderr
    assert "Stored in instruction_analytics: 1\nStored in context_metadata: 1" in result.stdout


async def test_the_documents_call_returns_both_embeddings(
    service: EmbeddingService, db: Database
) -> None:
    spec = importlib.util.spec_from_file_location("vla_inference", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    robot_image = make_scenes(1)[0].image
    await db.pool.execute("INSERT INTO instruction_analytics (id) VALUES (456)")

    async with InferenceEmbeddings(
        service, db, consent=Counted("customer_123"), budget_ms=20_000
    ) as embeddings:
        inference_service = example.InferenceService(
            {"openvla-7b": example.StandInPolicy()}, embeddings
        )
        result = await inference_service.infer(
            model_id="openvla-7b",
            image=robot_image,
            instruction="pick up the red block",
            robot_type="franka_panda",
            generate_embeddings=True,
            customer_id="customer_123",
            analytics_id=456,
        )
        plain = await inference_service.infer(
            model_id="openvla-7b",
            image=robot_image,
            instruction="pick up the red block",
            robot_type="franka_panda",
        )

    assert result.action.shape == (7,)
    assert result.instruction_embedding.shape == (384,)
    np.testing.assert_allclose(
        result.image_embedding, await service.get_image_embedding(robot_image), atol=1e-6
    )
    assert plain.instruction_embedding is None
    assert plain.image_embedding is None
