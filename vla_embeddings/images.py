"""Many images at once: decoded in one pool of threads while others are encoded in another."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vla_embeddings.cache import ReadThrough, image_key
from vla_embeddings.errors import InvalidInput
from vla_embeddings.metrics import generation
from vla_embeddings.runtime import (
    IMAGE_BATCH,
    ImageInput,
    Lane,
    Pool,
    check_header,
    check_kind,
    decode,
    even_batches,
    preprocess,
)
from vla_embeddings.together import together
from vla_embeddings.windows import in_windows

Result = TypeVar("Result")
Vectors = NDArray[np.float32]

# Images that are looked up, computed and stored together, for each batch that is encoded at the
# same time: enough to keep its thread busy, few enough to lose little where one cannot be used.
WINDOW = 64


def key_of(image: ImageInput, fingerprint: str) -> str:
    """The cache key of an image's embedding.

    Raises:
        InvalidInput: the image cannot be used.
    """
    check_kind(image)
    content = np.asarray(decode(image)) if isinstance(image, Image.Image) else image
    return image_key(fingerprint, content)


def prepared(image: ImageInput, fingerprint: str) -> tuple[ImageInput, str]:
    """A snapshot and its embedding's cache key, with that done once which both need of its pixels.

    Raises:
        InvalidInput: the image cannot be used.
    """
    if isinstance(image, Image.Image):
        image = decode(image)
    elif isinstance(image, np.ndarray):
        image = np.ascontiguousarray(image)
    return image, key_of(image, fingerprint)


async def check_images(images: Sequence[ImageInput], pool: Pool) -> None:
    """Refuse what is no image as far as kinds, shapes and the files' headers tell.

    Raises:
        InvalidInput: one is none; the message tells its index.
    """

    def check(indices: range) -> None:
        for index in indices:
            with _naming(index):
                check_header(images[index])

    await pool.run_all(partial(check, some) for some in even_batches(len(images), WINDOW))


async def window_length(lane: Lane[NDArray[np.uint8]]) -> int:
    """How many images are looked up, computed and stored together."""
    return WINDOW * await lane.bulk_batches_at_once()


async def embed_images(
    images: Sequence[ImageInput],
    lane: Lane[NDArray[np.uint8]],
    vectors: ReadThrough,
    pool: Pool,
    *,
    use_cache: bool,
) -> Vectors:
    """Vectors (n, 512) float32 in the order of the images, which are decoded in the pool.

    Of equal ones in a window, one is computed.

    Raises:
        InvalidInput: an image cannot be used; the message tells its index.
    """
    if not images:
        return np.empty((0, lane.model.dimension), np.float32)

    async def embed(window: slice, of: int | None) -> Vectors:
        numbered = dict(enumerate(images[window], window.start))
        return await _embed_window(numbered, lane, vectors, pool, of=of, use_cache=use_cache)

    return await in_windows(embed, len(images), await window_length(lane), lane.model.dimension)


async def _embed_window(
    images: dict[int, ImageInput],
    lane: Lane[NDArray[np.uint8]],
    vectors: ReadThrough,
    pool: Pool,
    *,
    of: int | None,
    use_cache: bool,
) -> Vectors:
    fingerprint = await lane.fingerprint()

    def each(work: Callable[[ImageInput], Result], index: int) -> Callable[[], Result]:
        def named() -> Result:
            with _naming(index):
                return work(images[index])

        return named

    keyed = partial(_keyed, fingerprint=fingerprint)
    found_keys = await pool.run_all(each(keyed, index) for index in images)
    distinct: dict[str, int] = {}
    for index, (image, key) in zip(images, found_keys, strict=True):
        images[index] = image
        distinct.setdefault(key, index)

    async def encode(indices: Sequence[int], total: int) -> Vectors:
        with generation("image-batch"):
            pixels = await pool.run_all(each(preprocess, index) for index in indices)
            return await lane.encode(pixels, of=total)

    async def compute(positions: Sequence[int]) -> Vectors:
        firsts = list(distinct.values())
        indices = [firsts[position] for position in positions]
        work = (
            encode(indices[batch.start : batch.stop], of or len(indices))
            for batch in even_batches(len(indices), IMAGE_BATCH)
        )
        # Some are encoded, while the next waits and another is decoded.
        at_once = await lane.bulk_batches_at_once() + 2
        return np.concatenate(await together(work, at_once=at_once))

    found = await vectors.many(
        list(distinct),
        compute,
        use_cache=use_cache,
        holds=partial(lane.has, fingerprint),
        names=list(distinct.values()),
    )
    rows = {key: row for row, key in enumerate(distinct)}
    return found[[rows[key] for _, key in found_keys]]


def _keyed(image: ImageInput, fingerprint: str) -> tuple[ImageInput, str]:
    """The image and its embedding's cache key; scaled where it had to be converted for the key,
    since nobody else keeps what was converted, and a window of it would take gigabytes."""
    taken, key = prepared(image, fingerprint)
    converted = isinstance(image, Image.Image) and taken is not image
    return (preprocess(taken) if converted else image), key


@contextmanager
def _naming(index: int) -> Iterator[None]:
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"images[{index}]: {error}") from error
