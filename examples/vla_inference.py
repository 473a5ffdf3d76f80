"""A small inference service whose results carry embeddings, stored where the customer agreed.

    vla-embeddings export
    python examples/vla_inference.py

PostgreSQL and Redis are those of EMBEDDING_DATABASE_URL and EMBEDDING_REDIS_URL, else embedded
ones; the tables live in a schema that is dropped at the end. With --untrained, models without
trained weights will do, whose vectors mean nothing.
"""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vla_embeddings import EmbeddingCache, EmbeddingService, embedding_config
from vla_embeddings.demo.servers import addresses, own_schema
from vla_embeddings.errors import UntrainedModel
from vla_embeddings.inference import ConsentTable, Embedded, InferenceEmbeddings
from vla_embeddings.samples import make_scenes
from vla_embeddings.search import create_schema

POLICY_SECONDS = 0.1


class StandInPolicy:
    """Stands in for a VLA model: looks at nothing, waits 100 ms and keeps the robot still."""

    async def act(
        self, image: Image.Image, instruction: str, robot_type: str
    ) -> NDArray[np.float32]:
        """An action of shape (7,), float32: six joint steps and the gripper, all zero."""
        await asyncio.sleep(POLICY_SECONDS)
        return np.zeros(7, np.float32)


@dataclass(frozen=True)
class InferenceResult:
    """An action, and the embeddings where they were asked for."""

    action: NDArray[np.float32]
    embedded: Embedded | None

    @property
    def instruction_embedding(self) -> NDArray[np.float32] | None:
        """(384,) float32, or None; `embedded` tells why."""
        return self.embedded.instruction.vector if self.embedded else None

    @property
    def image_embedding(self) -> NDArray[np.float32] | None:
        """(512,) float32, or None; `embedded` tells why."""
        return self.embedded.image.vector if self.embedded else None


class InferenceService:
    """Runs policies, and has their inputs embedded meanwhile."""

    def __init__(
        self, policies: Mapping[str, StandInPolicy], embeddings: InferenceEmbeddings
    ) -> None:
        self._policies = policies
        self._embeddings = embeddings

    async def infer(
        self,
        *,
        model_id: str,
        image: Image.Image,
        instruction: str,
        robot_type: str,
        generate_embeddings: bool = False,
        customer_id: str | None = None,
        analytics_id: int | None = None,
    ) -> InferenceResult:
        """The action of one policy, with embeddings if they are asked for."""
        action = self._policies[model_id].act(image, instruction, robot_type)
        if not generate_embeddings:
            return InferenceResult(await action, None)
        done, embedded = await self._embeddings.beside(
            action,
            instruction=instruction,
            image=image,
            customer_id=customer_id,
            analytics_id=analytics_id,
            robot_type=robot_type,
        )
        return InferenceResult(done, embedded)


async def main(untrained: bool) -> None:
    """Serve one inference of a customer who agreed, and show what came of it."""
    with addresses(embedding_config) as (database_url, redis_url):
        cache = EmbeddingCache(redis_url=redis_url)
        async with (
            own_schema(database_url) as db,
            EmbeddingService(cache=cache, allow_untrained=untrained) as service,
        ):
            await create_schema(db)
            await db.execute(
                "CREATE TABLE customers (id text PRIMARY KEY, embedding_consent boolean);"
                "INSERT INTO customers VALUES ('customer_123', true);"
                "INSERT INTO instruction_analytics (id) VALUES (456)"
            )
            consent = ConsentTable(
                db, table="customers", id_column="id", consent_column="embedding_consent"
            )
            warm_up, robot_image = (scene.image for scene in make_scenes(2))
            # Models load on first use: not while a customer waits.
            await service.batch_generate_embeddings(texts=["warm up"], images=[warm_up])
            async with InferenceEmbeddings(service, db, consent=consent) as embeddings:
                inference_service = InferenceService({"openvla-7b": StandInPolicy()}, embeddings)
                await show(inference_service, robot_image)
            for table, column in (
                ("instruction_analytics", "instruction_embedding"),
                ("context_metadata", "image_embedding"),
            ):
                stored = await db.fetchval(f"SELECT count({column}) FROM {table}")
                print(f"Stored in {table}: {stored}")


async def show(inference_service: InferenceService, robot_image: Image.Image) -> None:
    """The call of the platform's document."""
    result = await inference_service.infer(
        model_id="openvla-7b",
        image=robot_image,
        instruction="pick up the red block",
        robot_type="franka_panda",
        generate_embeddings=True,
        customer_id="customer_123",
        analytics_id=456,
    )
    print("Action of a stand-in, no policy:", result.action)
    if result.instruction_embedding is not None:
        print("Instruction embedding shape:", result.instruction_embedding.shape)
    if result.image_embedding is not None:
        print("Image embedding shape:", result.image_embedding.shape)
    elif result.embedded is not None:
        print("No image embedding:", result.embedded.image.reason)


if __name__ == "__main__":
    try:
        asyncio.run(main("--untrained" in sys.argv[1:]))
    except UntrainedModel as error:
        sys.exit(f"{error} Or run this example with --untrained.")
