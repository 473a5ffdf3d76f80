"""`EmbeddingService`: instructions and images to vectors, through the cache."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.cache import EmbeddingCache, SingleFlight, image_key, instruction_key
from vla_embeddings.config import Device, EmbeddingConfig, embedding_config
from vla_embeddings.errors import EmbeddingsDisabled, InvalidInput, ServiceClosed
from vla_embeddings.metrics import GENERATION_SECONDS
from vla_embeddings.models import Kind, find_model
from vla_embeddings.runtime import (
    ImageInput,
    Lane,
    LaneSettings,
    available_cpus,
    check_text,
    decode,
    image_lane,
    lower_priority,
    preprocess,
    text_lane,
)

logger = logging.getLogger(__name__)

Vector = NDArray[np.float32]
Result = TypeVar("Result")

# Images of one batch call in decoding or waiting: enough to keep the model busy while the next
# ones are decoded, few enough to bound the memory.
IMAGES_AT_ONCE = 32


class BatchEmbeddings(TypedDict):
    """What `batch_generate_embeddings` returns: unit vectors in the order of the inputs."""

    text_embeddings: NDArray[np.float32]
    """(n, 384) float32."""
    image_embeddings: NDArray[np.float32]
    """(m, 512) float32."""


class EmbeddingService:
    """Makes the embeddings of instructions and images.

    Nothing is loaded until the first call. Models run on threads of their own, so no call blocks
    the event loop; concurrent calls are batched, and equal ones computed once.

    Args:
        cache: where vectors are looked up and kept; None for no cache.
        device: `auto`, `cpu`, `cuda` or `tensorrt`; the config's where None.
        config: all other settings; those of the environment where None.
        allow_untrained: accept models with seeded weights, whose vectors mean nothing.

    Raises:
        ModelNotFound: the config names a model that does not exist.
    """

    def __init__(
        self,
        *,
        cache: EmbeddingCache | None = None,
        device: Device | None = None,
        config: EmbeddingConfig = embedding_config,
        allow_untrained: bool = False,
    ) -> None:
        settings = LaneSettings(
            config.models_dir,
            device or config.device,
            config.precision,
            allow_untrained,
            config.nice,
        )
        self._enabled = config.enable_embeddings
        self._cache = cache
        self._text = text_lane(find_model(config.text_model_name, "text"), settings)
        self._image = image_lane(find_model(config.image_model_name, "image"), settings)
        self._query = text_lane(find_model(config.image_model_name, "clip-text"), settings)
        self._flight: SingleFlight[Vector] = SingleFlight()
        self._closed = False
        self._pool = ThreadPoolExecutor(
            available_cpus(),
            "vla-embeddings-pixels",
            initializer=lower_priority,
            initargs=(config.nice,),
        )

    async def get_instruction_embedding(self, instruction: str, use_cache: bool = True) -> Vector:
        """The vector of an instruction.

        Args:
            instruction: not blank; what exceeds 256 tokens does not count.
            use_cache: look in the cache first, and store the result there.

        Returns:
            Shape (384,), float32, unit length; the caller's own.

        Raises:
            InvalidInput: no string, blank, or longer than `MAX_CHARACTERS`.
            EmbeddingsDisabled: EMBEDDING_ENABLE_EMBEDDINGS is false.
            ModelNotFound: the model was not exported; see `Lane.fingerprint` for the rest.
        """
        return await self._embed_text(self._text, instruction, use_cache=use_cache)

    async def get_image_query_embedding(self, text: str, use_cache: bool = True) -> Vector:
        """The vector of a text in the space of images, so that text finds images.

        Returns:
            Shape (512,), float32, unit length; comparable with `get_image_embedding`'s alone.

        Raises:
            As `get_instruction_embedding`; what exceeds 77 tokens does not count.
        """
        return await self._embed_text(self._query, text, use_cache=use_cache)

    async def get_image_embedding(self, image: ImageInput, use_cache: bool = True) -> Vector:
        """The vector of an image.

        Args:
            image: a PIL image, a uint8 RGB array of shape (H, W, 3), or the bytes of an image
                file; `vla_embeddings.runtime.decode` says how each kind is read.
            use_cache: look in the cache first, and store the result there.

        Returns:
            Shape (512,), float32, unit length; the caller's own.

        Raises:
            InvalidInput: the image cannot be used.
            EmbeddingsDisabled: EMBEDDING_ENABLE_EMBEDDINGS is false.
            ModelNotFound: the model was not exported; see `Lane.fingerprint` for the rest.
        """
        self._require_enabled()
        fingerprint = await self._image.fingerprint()
        key = await self._in_pool(lambda: _image_key(fingerprint, image))

        async def compute() -> Vector:
            with GENERATION_SECONDS.labels("image").time():
                pixels = await self._in_pool(lambda: preprocess(image))
                return _only(await self._image.encode([pixels]))

        return await self._through_cache(key, compute, use_cache=use_cache)

    async def batch_generate_embeddings(
        self,
        texts: Sequence[str] = (),
        images: Sequence[ImageInput] = (),
        use_cache: bool = True,
    ) -> BatchEmbeddings:
        """The vectors of many instructions and images.

        Args:
            texts: as for `get_instruction_embedding`; equal ones are computed once.
            images: as for `get_image_embedding`.
            use_cache: look in the cache first, and store the results there.

        Raises:
            InvalidInput: an input cannot be used; the message tells its index. Nothing is
                returned then.
            Others: as the methods for one.
        """
        self._require_enabled()
        for index, text in enumerate(texts):
            check_text(text, f"texts[{index}]")
        return BatchEmbeddings(
            text_embeddings=await self._embed_texts(texts, use_cache=use_cache),
            image_embeddings=await self._embed_images(images, use_cache=use_cache),
        )

    async def fingerprint(self, kind: Kind) -> str:
        """Identifies a model, its weights and precision: equal ones give comparable vectors."""
        lanes: dict[Kind, Lane[Any]] = {
            "text": self._text,
            "image": self._image,
            "clip-text": self._query,
        }
        return await lanes[kind].fingerprint()

    def cleanup(self) -> None:
        """Free the models, their threads and GPU memory; safe to call twice.

        What is being computed is finished; what waits fails with ServiceClosed. The cache stays
        open: `async with service:` closes it too.
        """
        self._closed = True
        for lane in (self._text, self._image, self._query):
            lane.close()
        self._pool.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.cleanup)
        if self._cache is not None:
            await self._cache.close()

    def _require_enabled(self) -> None:
        if self._closed:
            raise ServiceClosed("The service was cleaned up; make a new EmbeddingService.")
        if not self._enabled:
            raise EmbeddingsDisabled(
                "Embeddings are switched off (EMBEDDING_ENABLE_EMBEDDINGS=false). Set it to true, "
                "or do not ask for any."
            )

    async def _embed_text(self, lane: Lane[str], text: str, *, use_cache: bool) -> Vector:
        self._require_enabled()
        check_text(text, "instruction")

        async def compute() -> Vector:
            with GENERATION_SECONDS.labels("instruction").time():
                return _only(await lane.encode([text]))

        key = instruction_key(await lane.fingerprint(), text)
        return await self._through_cache(key, compute, use_cache=use_cache)

    async def _through_cache(
        self, key: str, compute: Callable[[], Awaitable[Vector]], *, use_cache: bool
    ) -> Vector:
        """The vector under `key`, from the cache or computed and stored; once for all who ask."""
        cache = self._cache if use_cache else None

        async def find() -> Vector:
            if cache is not None and (known := await cache.get_embedding(key)) is not None:
                return known
            vector = await compute()
            logger.debug("Generated embedding shape: %s", vector.shape)
            if cache is not None:
                await cache.set_embedding(key, vector)
            return vector

        flight = key if cache is not None else f"uncached {key}"
        return (await self._flight.run(flight, find)).copy()

    async def _embed_texts(self, texts: Sequence[str], *, use_cache: bool) -> NDArray[np.float32]:
        if not texts:
            return np.empty((0, self._text.model.dimension), np.float32)
        fingerprint = await self._text.fingerprint()
        keys = {text: instruction_key(fingerprint, text) for text in dict.fromkeys(texts)}
        cache = self._cache if use_cache else None
        known = await cache.get_many(list(keys.values())) if cache else {}
        found = {text: known.get(key) for text, key in keys.items()}
        vectors = {text: vector for text, vector in found.items() if vector is not None}
        if missing := [text for text in keys if text not in vectors]:
            with GENERATION_SECONDS.labels("instruction").time():
                computed = dict(zip(missing, await self._text.encode(missing), strict=True))
            if cache:
                await cache.set_many({keys[text]: computed[text] for text in missing})
            vectors |= computed
        return np.stack([vectors[text] for text in texts])

    async def _embed_images(
        self, images: Sequence[ImageInput], *, use_cache: bool
    ) -> NDArray[np.float32]:
        if not images:
            return np.empty((0, self._image.model.dimension), np.float32)
        free = asyncio.Semaphore(IMAGES_AT_ONCE)

        async def embed(index: int, image: ImageInput) -> Vector:
            async with free:
                try:
                    return await self.get_image_embedding(image, use_cache)
                except InvalidInput as error:
                    raise InvalidInput(f"images[{index}]: {error}") from error

        tasks = [asyncio.ensure_future(embed(*item)) for item in enumerate(images)]
        try:
            return np.stack(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _in_pool(self, work: Callable[[], Result]) -> Result:
        self._require_enabled()  # the service may have been cleaned up since the call began
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _image_key(fingerprint: str, image: ImageInput) -> str:
    content = image if isinstance(image, bytes) else np.asarray(decode(image))
    return image_key(fingerprint, content)


def _only(vectors: NDArray[np.float32]) -> Vector:
    vector: Vector = vectors[0]
    return vector
