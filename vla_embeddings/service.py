"""`EmbeddingService`: instructions and images to vectors, through the cache."""

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.admission import (
    BATCH_IMAGES,
    MAX_BATCH_TEXTS,
    MAX_WAITING,
    Admission,
    memory_of,
)
from vla_embeddings.cache import EmbeddingCache, ReadThrough, instruction_key
from vla_embeddings.config import Device, EmbeddingConfig, embedding_config
from vla_embeddings.errors import EmbeddingsDisabled, InvalidInput, ServiceClosed
from vla_embeddings.images import check_images, embed_images, key_of, prepared, window_length
from vla_embeddings.metrics import generation
from vla_embeddings.models import Kind, Model, find_model
from vla_embeddings.runtime import (
    STEP_BACK,
    ImageInput,
    Lane,
    LaneSettings,
    LoadedModel,
    Pool,
    check_kind,
    check_text,
    image_lane,
    is_in_memory,
    preprocess,
    snapshot,
    text_lane,
)
from vla_embeddings.turns import in_turns
from vla_embeddings.windows import in_windows, rows_of, under_way

Vector = NDArray[np.float32]
Item = TypeVar("Item")
Result = TypeVar("Result")

# Bytes of an image file that are hashed in less time than a thread takes to wake.
HASHED_INLINE = 128 * 1024

# Texts of one batch call that are looked up and encoded together: enough to sort by length,
# few enough not to hold up the event loop.
TEXTS_AT_ONCE = 2048

# What else to do where too much waits.
_IN_BULK = "pass many at once to batch_generate_embeddings"
_FEWER = "make fewer calls at once"


class BatchEmbeddings(TypedDict):
    """What `batch_generate_embeddings` returns: unit vectors in the order of the inputs."""

    text_embeddings: NDArray[np.float32]
    """(n, 384) float32."""
    image_embeddings: NDArray[np.float32]
    """(m, 512) float32."""


class EmbeddingService:
    """Makes the embeddings of instructions and images.

    Nothing is loaded until the first call. Models run on threads of their own; the event loop only
    checks and hashes texts, a few milliseconds at a time, and copies images, as
    `get_image_embedding` tells. Concurrent calls are batched, and equal ones computed once; a
    single call never waits for the batch call that happens to have its input too, and computes it
    itself. Where too much waits already, calls are refused: `vla_embeddings.admission` has the
    limits. A service that is dropped without `cleanup()` is freed all the same, a moment later.

    Fork before the first call, which loads ONNX Runtime: the child may use this service then. One
    forked later makes another, and ends by `os._exit`, as `multiprocessing`'s children do: from an
    ordinary exit, ONNX Runtime's own teardown hangs or aborts there.

    Args:
        cache: where vectors are looked up and kept; None for no cache.
        device: `auto`, `cpu`, `cuda` or `tensorrt`; the config's where None.
        config: all other settings; those of the environment where None.
        allow_untrained: accept models with seeded weights, whose vectors mean nothing.

    Raises:
        ModelNotFound: the config names a model that does not exist.
        ConfigurationError: there is no such device.
    """

    def __init__(
        self,
        *,
        cache: EmbeddingCache | None = None,
        device: Device | None = None,
        config: EmbeddingConfig | None = None,
        allow_untrained: bool = False,
    ) -> None:
        config = config or embedding_config
        settings = LaneSettings.of(config, device, allow_untrained=allow_untrained)
        self._enabled = config.enable_embeddings
        self._cache = cache
        models: dict[Kind, Model] = {
            kind: find_model(config.name_of_model(kind), kind) for kind in get_args(Kind)
        }
        self._text = text_lane(models["text"], settings)
        self._image = image_lane(models["image"], settings)
        self._query = text_lane(models["clip-text"], settings)
        self._lanes: dict[Kind, Lane[Any]] = {
            "text": self._text,
            "image": self._image,
            "clip-text": self._query,
        }
        self._waiting: dict[Kind, Admission] = {
            "text": Admission("instructions", MAX_WAITING, _IN_BULK),
            "image": Admission("images", MAX_WAITING, _IN_BULK),
            "clip-text": Admission("image queries", MAX_WAITING, _FEWER),
        }
        self._batched_texts = Admission("texts of batch calls", MAX_BATCH_TEXTS, _FEWER)
        self._batched_images = Admission(
            "images of batch calls", BATCH_IMAGES * settings.cpus, _FEWER
        )
        self._vectors = ReadThrough(cache)
        self._closed = False
        self._process: int | None = None  # whose threads embed, from the first call on
        self._finalizer: weakref.finalize[..., EmbeddingService] | None = None
        threads, nice = settings.cpus, config.nice
        self._pool = Pool("vla-embeddings-pixels", threads=threads, nice=nice)
        # Of its own, so that a single image waits for none of them.
        self._batch_pool = Pool(
            "vla-embeddings-batch-pixels", threads=threads, nice=nice, further=STEP_BACK
        )
        self._parts: list[Pool | Lane[Any]] = [self._pool, self._batch_pool, *self._lanes.values()]

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
            Overloaded: too many instructions wait already.
            ServiceClosed: after `cleanup()`, or in a process forked after the first call.
            InferenceError: ONNX Runtime or the tokenizer failed, or no thread can be had.
        """
        return await self._embed_text(self._text, instruction, "instruction", use_cache=use_cache)

    async def get_image_query_embedding(self, text: str, use_cache: bool = True) -> Vector:
        """The vector of a text in the space of images, so that text finds images.

        Returns:
            Shape (512,), float32, unit length; comparable with `get_image_embedding`'s alone.

        Raises:
            As `get_instruction_embedding`; what exceeds 77 tokens does not count.
        """
        return await self._embed_text(self._query, text, "image-query", use_cache=use_cache)

    async def get_image_embedding(self, image: ImageInput, use_cache: bool = True) -> Vector:
        """The vector of an image, as it is when this call begins: its buffer may be used again.

        For that an array, or a PIL image in memory, is copied on the event loop: 0.1 ms at
        640x480, 0.6 ms at 1920x1080, but 0.4 s at the 89 megapixels that are the most accepted.
        An opened PIL image that was not loaded yet is read on a thread, and counts as it is then:
        leave it alone until the call returns. The bytes of a file are never copied. WebP and AVIF
        files hold Python's global lock for a part of their decoding, 5 and 11 ms at 1920x1080.

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
            Overloaded: too many images wait already, or hold too much memory.
            ServiceClosed: after `cleanup()`, or in a process forked after the first call.
            InferenceError: ONNX Runtime failed, or no thread can be had.
        """
        self._require_usable()
        check_kind(image)
        with self._waiting["image"].admit(nbytes=memory_of(image)):
            return await self._embed_image(image, use_cache=use_cache)

    async def batch_generate_embeddings(
        self,
        texts: Iterable[str] = (),
        images: Iterable[ImageInput] = (),
        use_cache: bool = True,
    ) -> BatchEmbeddings:
        """The vectors of many instructions and images.

        Args:
            texts: each as for `get_instruction_embedding`; equal ones are computed once.
            images: each as for `get_image_embedding`; an array (n, H, W, 3) is n of them. None is
                copied: do not change them before the call returns. They are taken in windows of 64
                for each core: equal ones are computed once in a window, and later ones where the
                cache does not have them by then. An opened PIL image is read in place, and stays
                decoded afterwards as long as you have it: 3 bytes a pixel, which the bytes of its
                file do not take.
            use_cache: look in the cache first, and store the results there.

        Raises:
            InvalidInput: an input cannot be used; the message tells its index. Nothing is
                returned then. All texts, kinds of images and headers of their files are checked
                before anything is computed.
            Overloaded: too many texts or images of other batch calls wait already. A call counts
                for at most 4,096 texts and two windows of images, as it takes turns with the
                others.
            Others: as the methods for one.
        """
        self._require_usable()
        texts, images = _listed(texts, "texts"), _listed(images, "images")
        window = await window_length(self._image) if images else 0
        with (
            self._batched_texts.admit(under_way(len(texts), TEXTS_AT_ONCE)),
            self._batched_images.admit(under_way(len(images), window)),
        ):
            async for index, text in in_turns(texts):
                check_text(text, f"texts[{index}]")
            await check_images(images, self._batch_pool)
            return BatchEmbeddings(
                text_embeddings=await self._embed_texts(texts, use_cache=use_cache),
                image_embeddings=await embed_images(
                    images, self._image, self._vectors, self._batch_pool, use_cache=use_cache
                ),
            )

    async def fingerprint(self, kind: Kind) -> str:
        """Identifies a model, its weights and precision: equal ones give comparable vectors.

        Raises:
            InvalidInput: there is no such kind.
            Others: as `Lane.fingerprint`.
        """
        if kind not in self._lanes:
            raise InvalidInput(f"kind must be one of {', '.join(self._lanes)}; got {kind!r}.")
        return await self._lanes[kind].fingerprint()

    def provider_report(self) -> list[LoadedModel]:
        """Each model loaded so far, which is at its first call, and what runs its operators."""
        return [lane.loaded for lane in self._lanes.values() if lane.loaded is not None]

    def cleanup(self) -> None:
        """Free the models, their threads and GPU memory; safe to call twice.

        What is being computed is finished; what waits fails with ServiceClosed. The cache stays
        open: `async with service:` closes it too. Nothing happens in a forked process.
        """
        if self._is_forked:
            return
        self._closed = True
        if self._finalizer is not None:
            self._finalizer.detach()
        _close_all(self._parts)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await asyncio.to_thread(self.cleanup)
        finally:  # also where who waits for it is cancelled
            if self._cache is not None:
                await self._cache.close()

    @property
    def _is_forked(self) -> bool:
        return self._process not in (None, os.getpid())

    def _require_usable(self) -> None:
        if self._is_forked:
            raise ServiceClosed(
                "The service's threads did not come along into this forked process; make the "
                "EmbeddingService after the fork."
            )
        if self._closed:
            raise ServiceClosed("The service was cleaned up; make a new EmbeddingService.")
        if not self._enabled:
            raise EmbeddingsDisabled(
                "Embeddings are switched off (EMBEDDING_ENABLE_EMBEDDINGS=false). Set it to true, "
                "or do not ask for any."
            )
        if self._process is None:
            self._process = os.getpid()
            # Threads keep the models. At the exit, each thread is ended as it needs.
            self._finalizer = weakref.finalize(self, _free, self._process, self._parts)
            self._finalizer.atexit = False

    async def _embed_text(
        self, lane: Lane[str], text: str, what: str, *, use_cache: bool
    ) -> Vector:
        self._require_usable()
        check_text(text, what)

        async def compute() -> Vector:
            with self._waiting[lane.model.kind].admit(), generation(what):
                return _only(await lane.encode([text]))

        fingerprint = await lane.fingerprint()
        return await self._vectors.one(
            instruction_key(fingerprint, text),
            compute,
            use_cache=use_cache,
            holds=partial(lane.has, fingerprint),
        )

    async def _embed_image(self, image: ImageInput, *, use_cache: bool) -> Vector:
        image = snapshot(image) if is_in_memory(image) else await self._copied(image)
        fingerprint = await self._image.fingerprint()
        if isinstance(image, bytes) and len(image) <= HASHED_INLINE:
            key = key_of(image, fingerprint)
        else:
            image, key = await self._in_pool(lambda: prepared(image, fingerprint))

        async def compute() -> Vector:
            with generation("image"):
                pixels = await self._in_pool(lambda: preprocess(image, self._pool))
                return _only(await self._image.encode([pixels]))

        return await self._vectors.one(
            key, compute, use_cache=use_cache, holds=partial(self._image.has, fingerprint)
        )

    async def _embed_texts(self, texts: Sequence[str], *, use_cache: bool) -> NDArray[np.float32]:
        rows: dict[str, int] = {}
        async for _, text in in_turns(texts):
            rows.setdefault(text, len(rows))
        distinct = list(rows)

        async def embed(window: slice, of: int | None) -> NDArray[np.float32]:
            return await self._embed_distinct(distinct[window], of=of, use_cache=use_cache)

        vectors = await in_windows(embed, len(distinct), TEXTS_AT_ONCE, self._text.model.dimension)
        if len(distinct) == len(texts):
            return vectors
        return await rows_of(vectors, [rows[text] for text in texts], TEXTS_AT_ONCE)

    async def _embed_distinct(
        self, texts: Sequence[str], *, of: int | None, use_cache: bool
    ) -> NDArray[np.float32]:
        fingerprint = await self._text.fingerprint()

        async def compute(positions: Sequence[int]) -> NDArray[np.float32]:
            with generation("instruction-batch"):
                return await self._text.encode([texts[i] for i in positions], of=of)

        keys = [instruction_key(fingerprint, text) async for _, text in in_turns(texts)]
        return await self._vectors.many(
            keys, compute, use_cache=use_cache, holds=partial(self._text.has, fingerprint)
        )

    async def _copied(self, image: ImageInput) -> ImageInput:
        return await self._in_pool(lambda: snapshot(image))

    async def _in_pool(self, work: Callable[[], Result]) -> Result:
        self._require_usable()  # the service may have been cleaned up since the call began
        return await self._pool.run(work)


def _listed(items: Iterable[Item], name: str) -> list[Item]:
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        raise InvalidInput(f"{name}: expected a list of them, got {type(items).__name__}.")
    return list(items)


def _close_all(parts: Iterable[Pool | Lane[Any]]) -> None:
    for part in parts:
        part.close()


def _free(process: int, parts: Sequence[Pool | Lane[Any]]) -> None:
    """Close what a dropped service has left, in a thread: it may be one of those that end."""
    if os.getpid() == process:
        threading.Thread(target=_close_all, args=(parts,), name="vla-embeddings-end").start()


def _only(vectors: NDArray[np.float32]) -> Vector:
    vector: Vector = vectors[0]
    return vector
