"""Hits in this process's memory, and what a thousand equal requests at once compute."""

import asyncio

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import Bench
from benchmarks.cache.clients import TTL, Vectors
from benchmarks.cache.size import CacheSize
from benchmarks.results import Findings, Row, Verdict
from benchmarks.spread import exactly, quartiles
from benchmarks.turns import OURS, take_turns, timed
from vla_embeddings.cache import EmbeddingCache, SingleFlight
from vla_embeddings.service import EmbeddingService

MEMORY_HIT_MS = 0.06
REQUESTS = 1000
INSTRUCTION = "pick up the red block on the left and put it into the blue b"  # 60 characters


async def memory_hit(url: str, bench: Bench, size: CacheSize) -> Findings:
    """The whole call of the service where its process has the vector already."""
    config = bench.config.model_copy(update={"precision": "auto", "device": bench.device})
    async with EmbeddingService(cache=EmbeddingCache(url, ttl=TTL), config=config) as service:
        hits = timed(lambda: service.get_instruction_embedding(INSTRUCTION), size.single_calls)
        times = await take_turns({OURS: hits}, size.turns)
    work, taken = "one hit in this process, through the service", [1e3 * s for s in times[OURS]]
    verdict = Verdict(work, OURS, None, quartiles(taken), "ms", MEMORY_HIT_MS, at_most=True)
    return Findings([Row(work, OURS, quartiles(taken), "ms", turns=taken)], [verdict], [])


async def shared_computations(url: str, vectors: Vectors) -> Findings:
    """How often a vector is computed that all ask for at once."""
    key, vector = next(iter(vectors.items()))
    computations = 0
    flight = SingleFlight[NDArray[np.float32]]()

    async with EmbeddingCache(url, ttl=TTL) as cache:
        await cache.clear_pattern(key)

        async def compute() -> NDArray[np.float32]:
            nonlocal computations
            if (found := await cache.get_embedding(key)) is not None:
                return found
            computations += 1
            await asyncio.sleep(0.005)
            await cache.set_embedding(key, vector)
            return vector

        await asyncio.gather(*(flight.run(key, compute) for _ in range(REQUESTS)))
    work = f"{REQUESTS:,} equal requests at once, computations"
    count = exactly(computations)
    return Findings([], [Verdict(work, OURS, None, count, "", 1, at_most=True)], [])
