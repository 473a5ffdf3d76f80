"""One instruction now and then while a bulk job runs: what it waits for."""

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.results import Row
from benchmarks.spread import quartiles
from vla_embeddings.service import EmbeddingService

PAUSE_SECONDS = 0.02
"""Between calls: a camera's 50 frames a second."""


async def beside_bulk(
    service: EmbeddingService, name: str, texts: Sequence[str], *, turns: int, calls: int
) -> list[Row]:
    """p50 and p99 of `calls` single calls in each turn, past the cache.

    Args:
        service: under way as `name`.
        texts: those of one bulk call, which is repeated as long as the single ones take.
    """
    waits = [await _turn(service, texts, calls) for _ in range(turns)]
    rows = []
    for percent in (50, 99):
        figures = [float(np.percentile(each, percent)) for each in waits]
        work = f"1 caller beside bulk work: p{percent} of a call"
        rows.append(Row(work, name, quartiles(figures), "ms", turns=figures))
    return rows


async def _turn(service: EmbeddingService, texts: Sequence[str], calls: int) -> list[float]:
    async def work() -> None:
        while True:
            await service.batch_generate_embeddings(texts, use_cache=False)

    waits: list[float] = []
    job = asyncio.create_task(work())
    try:
        for number in range(calls):
            await asyncio.sleep(PAUSE_SECONDS)
            if job.done():
                job.result()  # its error
            start = time.perf_counter()
            await service.get_instruction_embedding(texts[number % len(texts)], use_cache=False)
            waits.append(1e3 * (time.perf_counter() - start))
    finally:
        job.cancel()
        await asyncio.wait([job])
    return waits
