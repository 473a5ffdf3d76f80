"""One instruction now and then while a bulk job runs: what it waits for."""

import asyncio
import time
from collections.abc import Sequence

from vla_embeddings.service import EmbeddingService

PAUSE_SECONDS = 0.02
"""Between calls: a camera's 50 frames a second."""


async def waits_beside_bulk(
    service: EmbeddingService, texts: Sequence[str], calls: int
) -> list[float]:
    """Milliseconds of so many single calls, past the cache.

    Args:
        texts: those of one bulk call, which is repeated as long as the single ones take.
    """

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
