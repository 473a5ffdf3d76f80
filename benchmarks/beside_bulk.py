"""One instruction or image now and then while a bulk job runs: what it waits for."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from vla_embeddings.runtime import ImageInput
from vla_embeddings.service import EmbeddingService

PAUSE_SECONDS = 0.02
"""Between calls: a camera's 50 frames a second."""

Work = Coroutine[Any, Any, object]


async def waits_beside_bulk(
    service: EmbeddingService, texts: Sequence[str], calls: int
) -> list[float]:
    """Milliseconds of so many single calls, past the cache.

    Args:
        texts: those of one bulk call, which is repeated as long as the single ones take.
    """
    return await _waits(
        lambda: service.batch_generate_embeddings(texts, use_cache=False),
        lambda number: service.get_instruction_embedding(
            texts[number % len(texts)], use_cache=False
        ),
        calls,
    )


async def image_waits_beside_bulk(
    service: EmbeddingService, images: Sequence[ImageInput], calls: int
) -> list[float]:
    """As `waits_beside_bulk`, of images."""
    return await _waits(
        lambda: service.batch_generate_embeddings(images=images, use_cache=False),
        lambda number: service.get_image_embedding(images[number % len(images)], use_cache=False),
        calls,
    )


async def _waits(
    bulk: Callable[[], Work], single: Callable[[int], Work], calls: int
) -> list[float]:
    async def work() -> None:
        while True:
            await bulk()

    waits: list[float] = []
    job = asyncio.create_task(work())
    try:
        for number in range(calls):
            await asyncio.sleep(PAUSE_SECONDS)
            if job.done():
                job.result()  # its error
            start = time.perf_counter()
            await single(number)
            waits.append(1e3 * (time.perf_counter() - start))
    finally:
        job.cancel()
        await asyncio.wait([job])
    return waits
