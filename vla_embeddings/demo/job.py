"""The main job: embed, cache, index and search, step by step."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

import asyncpg
import numpy as np
from numpy.typing import NDArray

from vla_embeddings.cache import EmbeddingCache
from vla_embeddings.config import EmbeddingConfig
from vla_embeddings.demo.inputs import Instruction, Picture
from vla_embeddings.demo.servers import addresses, own_schema
from vla_embeddings.demo.stopwatch import Stopwatch
from vla_embeddings.search import (
    batch_index_embeddings,
    cosine_similarity_search,
    create_hnsw_index,
    create_schema,
    euclidean_distance_search,
)
from vla_embeddings.service import EmbeddingService

TOP_K = 3
THRESHOLD = 0.5
QUESTIONS = ("grab the cube", "tidy the fruit away", "shut the refrigerator", "clean the table")
PICTURES_TIMED = 5
# A request's own deadline may pass while this machine is busy; the demo shows the cache at work.
REDIS_SECONDS = 1.0

Item = TypeVar("Item")
Vectors = NDArray[np.float32]
Advance = Callable[[int], None]
Track = Callable[[str, int], Advance]
"""Starts a progress bar of a length, and returns what moves it on."""


@dataclass(frozen=True, slots=True)
class Loading:
    """How one kind of rows was embedded, stored and indexed."""

    what: str
    rows: int
    embed_seconds: float
    store_seconds: float
    index_seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One search and its rows."""

    question: str
    search: str
    milliseconds: float
    rows: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Timing:
    """Median milliseconds of the same inputs' vectors, by where they came from."""

    origin: str
    instruction_ms: float
    image_ms: float


@dataclass(frozen=True, slots=True)
class _Target:
    what: str
    table: str
    column: str
    chunk: int


@dataclass(frozen=True, slots=True)
class Result:
    """What the demo did and found."""

    loadings: list[Loading]
    answers: list[Answer]
    timings: list[Timing]
    cache: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """The demo's inputs and settings."""

    instructions: Sequence[Instruction]
    pictures: Sequence[Picture]
    config: EmbeddingConfig
    track: Track

    async def run(self) -> Result:
        """Embed, index and search the inputs on real servers.

        Raises:
            EmbeddingError: a server, a model or an input failed.
        """
        with addresses(self.config) as (database, redis):
            cache = EmbeddingCache(redis_url=redis, deadline=REDIS_SECONDS)
            # Another process would have its own memory and the same Redis.
            elsewhere = EmbeddingCache(redis_url=redis, deadline=REDIS_SECONDS)
            async with (
                own_schema(database) as db,
                self._service(cache) as service,
                self._service(elsewhere) as other,
            ):
                await create_schema(db)
                loadings = [
                    await self._load_instructions(db, service),
                    await self._load_pictures(db, service),
                ]
                answers = await self._ask(db, service)
                timings = [
                    await self._time("computed", service, use_cache=False),
                    await self._time("Redis, from another process", other),
                    await self._time("this process's memory", service),
                ]
                return Result(loadings, answers, timings, dict(await cache.get_stats()))

    def _service(self, cache: EmbeddingCache) -> EmbeddingService:
        return EmbeddingService(cache=cache, config=self.config, allow_untrained=True)

    async def _load_instructions(self, db: asyncpg.Pool, service: EmbeddingService) -> Loading:
        records = await db.fetch(
            "INSERT INTO instruction_analytics (instruction, model_type, robot_type) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) RETURNING id",
            [row.text for row in self.instructions],
            [row.model_type for row in self.instructions],
            [row.robot_type for row in self.instructions],
        )

        async def embed(chunk: Sequence[Instruction]) -> Vectors:
            texts = [row.text for row in chunk]
            return (await service.batch_generate_embeddings(texts=texts))["text_embeddings"]

        target = _Target("instructions", "instruction_analytics", "instruction_embedding", 256)
        made_by = await service.fingerprint("text")
        return await self._load(db, target, made_by, records, self.instructions, embed)

    async def _load_pictures(self, db: asyncpg.Pool, service: EmbeddingService) -> Loading:
        records = await db.fetch(
            "INSERT INTO context_metadata (image_path) SELECT unnest($1::text[]) RETURNING id",
            [picture.name for picture in self.pictures],
        )

        async def embed(chunk: Sequence[Picture]) -> Vectors:
            images = [picture.image for picture in chunk]
            return (await service.batch_generate_embeddings(images=images))["image_embeddings"]

        target = _Target("images", "context_metadata", "image_embedding", 16)
        made_by = await service.fingerprint("image")
        return await self._load(db, target, made_by, records, self.pictures, embed)

    async def _load(
        self,
        db: asyncpg.Pool,
        target: _Target,
        made_by: str,
        records: Sequence[asyncpg.Record],
        items: Sequence[Item],
        embed: Callable[[Sequence[Item]], Awaitable[Vectors]],
    ) -> Loading:
        """Embed and store the items chunk by chunk, then build the index."""
        advance = self.track(f"Embedding {target.what}", len(items))
        embedding, storing = Stopwatch(), Stopwatch()
        for start in range(0, len(items), target.chunk):
            chunk = slice(start, start + target.chunk)
            with embedding:
                vectors = await embed(items[chunk])
            rows = [
                {"id": record["id"], "embedding": vector}
                for record, vector in zip(records[chunk], vectors, strict=True)
            ]
            with storing:
                await batch_index_embeddings(
                    db, target.table, "id", target.column, rows, fingerprint=made_by
                )
            advance(len(rows))
        with Stopwatch() as indexing:
            await create_hnsw_index(db, target.table, target.column)
        return Loading(
            target.what, len(items), embedding.seconds, storing.seconds, indexing.seconds
        )

    async def _ask(self, db: asyncpg.Pool, service: EmbeddingService) -> list[Answer]:
        """Searches of each kind: with and without a filter, by cosine and by distance."""
        answers = []
        for number, question in enumerate(QUESTIONS):
            filters = {"model_type": "openvla"} if number % 2 else None
            vector = await service.get_instruction_embedding(question)
            with Stopwatch() as watch:
                rows = await cosine_similarity_search(
                    db=db,
                    table="instruction_analytics",
                    embedding_column="instruction_embedding",
                    query_embedding=vector,
                    top_k=TOP_K,
                    threshold=THRESHOLD,
                    filters=filters,
                )
            search = f"≥ {THRESHOLD}" + (", openvla only" if filters else "")
            answers.append(Answer(question, search, 1000 * watch.seconds, rows))
        picture = self.pictures[0]
        vector = await service.get_image_embedding(picture.image)
        with Stopwatch() as watch:
            rows = await euclidean_distance_search(
                db=db,
                table="context_metadata",
                embedding_column="image_embedding",
                query_embedding=vector,
                top_k=TOP_K,
            )
        return [
            *answers,
            Answer(picture.name, "by euclidean distance", 1000 * watch.seconds, rows),
        ]

    async def _time(
        self, origin: str, service: EmbeddingService, *, use_cache: bool = True
    ) -> Timing:
        """The searches' own vectors once more, one at a time."""
        texts, images = [], []
        for question in QUESTIONS:
            with Stopwatch() as watch:
                await service.get_instruction_embedding(question, use_cache)
            texts.append(1000 * watch.seconds)
        for picture in self.pictures[:PICTURES_TIMED]:
            with Stopwatch() as watch:
                await service.get_image_embedding(picture.image, use_cache)
            images.append(1000 * watch.seconds)
        return Timing(origin, median(texts), median(images))
