"""Many images at once: decoded in one pool of threads while others are encoded in another."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.cache import ReadThrough, image_key
from vla_embeddings.errors import InvalidInput
from vla_embeddings.metrics import GENERATION_SECONDS
from vla_embeddings.runtime import IMAGE_BATCH, ImageInput, Lane, decode, preprocess

Result = TypeVar("Result")
Vectors = NDArray[np.float32]

# Images that are looked up, computed and stored together: enough to keep every thread busy, few
# enough to lose little where one of them cannot be used.
WINDOW = 128

# Batches in decoding or encoding: one is encoded, the next waits, and one is decoded.
BATCHES_AT_ONCE = 3


class InPool(Protocol):
    """Runs work on a thread."""

    def __call__(self, work: Callable[[], Result]) -> Awaitable[Result]: ...


def key_of(image: ImageInput, fingerprint: str) -> str:
    """The cache key of an image's embedding.

    Raises:
        InvalidInput: the image cannot be used.
    """
    content = image if isinstance(image, bytes) else np.asarray(decode(image))
    return image_key(fingerprint, content)


async def embed_images(
    images: Sequence[ImageInput],
    lane: Lane[NDArray[np.uint8]],
    vectors: ReadThrough,
    in_pool: InPool,
    *,
    use_cache: bool,
) -> Vectors:
    """Vectors (n, 512) float32 in the order of the images; equal ones are computed once.

    Raises:
        InvalidInput: an image cannot be used; the message tells its index.
    """
    if not images:
        return np.empty((0, lane.model.dimension), np.float32)
    parts = []
    for start in range(0, len(images), WINDOW):
        window = dict(enumerate(images[start : start + WINDOW], start))
        parts.append(await _embed_window(window, lane, vectors, in_pool, use_cache=use_cache))
    return np.concatenate(parts)


async def _embed_window(
    images: dict[int, ImageInput],
    lane: Lane[NDArray[np.uint8]],
    vectors: ReadThrough,
    in_pool: InPool,
    *,
    use_cache: bool,
) -> Vectors:
    fingerprint = await lane.fingerprint()

    def on_thread(work: Callable[[ImageInput], Result], index: int) -> Coroutine[Any, Any, Result]:
        return _naming(index, in_pool(partial(work, images[index])))

    keys = await _all(on_thread(partial(key_of, fingerprint=fingerprint), i) for i in images)
    distinct: dict[str, int] = {}
    for key, index in zip(keys, images, strict=True):
        distinct.setdefault(key, index)
    free = asyncio.Semaphore(BATCHES_AT_ONCE)

    async def encode(indices: Sequence[int]) -> Vectors:
        async with free:
            with GENERATION_SECONDS.labels("image").time():
                pixels = await _all(on_thread(preprocess, index) for index in indices)
                return await lane.encode(pixels, bulk=True)

    async def compute(positions: Sequence[int]) -> Vectors:
        firsts = list(distinct.values())
        indices = [firsts[position] for position in positions]
        batches = np.array_split(indices, -(-len(indices) // IMAGE_BATCH))
        return np.concatenate(await _all(encode(batch.tolist()) for batch in batches))

    found = await vectors.many(list(distinct), compute, use_cache=use_cache)
    rows = {key: row for row, key in enumerate(distinct)}
    return found[[rows[key] for key in keys]]


async def _naming(index: int, work: Awaitable[Result]) -> Result:
    try:
        return await work
    except InvalidInput as error:
        raise InvalidInput(f"images[{index}]: {error}") from error


async def _all(works: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results of all; where one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
