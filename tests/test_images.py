"""Many images in one call: in order, each once, and a bad one is named."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.cache.servers import PatientCache
from tests.conversions import watch_conversions
from tests.test_service import _jpeg
from vla_embeddings import EmbeddingConfig, EmbeddingService, images
from vla_embeddings.cache import image_key
from vla_embeddings.errors import InvalidInput
from vla_embeddings.runtime import ImageInput, preprocess, snapshot
from vla_embeddings.samples import make_scenes

SCENES = [_jpeg(scene.image) for scene in make_scenes(5)]
ARRAY = np.asarray(make_scenes(1)[0].image)


@pytest.fixture
async def service(models_dir: Path) -> AsyncIterator[EmbeddingService]:
    config = EmbeddingConfig(models_dir=models_dir, threads=2)
    async with EmbeddingService(config=config, allow_untrained=True) as service:
        yield service


@pytest.fixture
def preprocessed(monkeypatch: pytest.MonkeyPatch) -> list[ImageInput]:
    """Images that were preprocessed."""
    seen: list[ImageInput] = []

    def watch(image: ImageInput) -> object:
        seen.append(image)
        return preprocess(image)

    monkeypatch.setattr(images, "preprocess", watch)
    return seen


async def test_equal_images_are_computed_once_and_all_come_in_order(
    service: EmbeddingService,
    preprocessed: list[ImageInput],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "WINDOW", 2)
    given: list[ImageInput] = [*SCENES[:2], ARRAY, SCENES[0], SCENES[4], ARRAY.copy(), SCENES[3]]

    batch = (await service.batch_generate_embeddings(images=given))["image_embeddings"]

    assert len(preprocessed) == 6  # the array is in both windows of four
    for vector, image in zip(batch, given, strict=True):
        alone = await service.get_image_embedding(image, use_cache=False)
        np.testing.assert_allclose(vector, alone, rtol=0, atol=1e-5)


def _views(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The same pixels, as they lie in memory in other libraries."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    return [pixels, planes.transpose(1, 2, 0), bgr[..., ::-1], pixels[::-1].copy()[::-1]]


@pytest.mark.parametrize("view", _views(ARRAY), ids=["as is", "planes", "bgr", "upside down"])
def test_equal_pixels_have_one_key_and_stay_what_they_were(view: NDArray[np.uint8]) -> None:
    taken = snapshot(view)
    assert isinstance(taken, np.ndarray)

    keys = {images.key_of(image, "f") for image in (view, taken, Image.fromarray(ARRAY))}

    assert keys == {image_key("f", ARRAY)}
    assert images.prepared(taken, "f")[1] in keys
    assert not np.shares_memory(taken, view)


async def test_only_images_that_the_cache_lacks_are_computed(
    models_dir: Path, redis_url: str, preprocessed: list[ImageInput]
) -> None:
    cache, config = PatientCache(redis_url=redis_url), EmbeddingConfig(models_dir=models_dir)
    await cache.clear_pattern("*")
    async with EmbeddingService(cache=cache, config=config, allow_untrained=True) as service:
        first = await service.batch_generate_embeddings(images=SCENES[:2])
        both = await service.batch_generate_embeddings(images=SCENES[:3])

    files = [image for image in preprocessed if isinstance(image, bytes)]
    assert sorted(map(SCENES.index, files)) == [0, 1, 2]
    assert np.array_equal(first["image_embeddings"], both["image_embeddings"][:2])


async def test_the_index_of_an_image_that_cannot_be_decoded_is_named(
    service: EmbeddingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "WINDOW", 1)

    with pytest.raises(InvalidInput, match=r"images\[3\]: Cannot decode"):
        await service.batch_generate_embeddings(images=[*SCENES[:3], SCENES[0][:1000]])


@pytest.mark.parametrize(
    "bad",
    [b"no image", b"P5 10000 9000 255\n", np.zeros((4, 4), np.uint8), "scene.jpg"],
    ids=["bytes", "too large", "array", "path"],
)
async def test_what_is_seen_to_be_no_image_is_refused_before_any_work(
    service: EmbeddingService,
    preprocessed: list[ImageInput],
    bad: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "WINDOW", 1)

    with pytest.raises(InvalidInput, match=r"images\[4\]: "):
        await service.batch_generate_embeddings(["go"], [*SCENES[:4], bad])

    assert (preprocessed, service.provider_report()) == ([], [])


async def test_a_pil_image_of_a_batch_is_converted_once(
    service: EmbeddingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For its key and its vector."""
    scenes = [scene.image.convert("CMYK") for scene in make_scenes(3)]
    seen = watch_conversions(monkeypatch)

    batch = await service.batch_generate_embeddings(images=scenes)

    assert seen == ["CMYK"] * 3
    alone = await service.get_image_embedding(scenes[2].convert("RGB"))
    np.testing.assert_allclose(batch["image_embeddings"][2], alone, rtol=0, atol=1e-5)


async def test_calls_at_once_are_each_told_their_own_index(service: EmbeddingService) -> None:
    """Of one broken file."""
    bad = SCENES[0][:100]
    calls = [[SCENES[1], bad], [SCENES[1], SCENES[1], bad], [SCENES[1], bad]]

    errors = await asyncio.gather(
        *(service.batch_generate_embeddings(images=images) for images in calls),
        return_exceptions=True,
    )

    assert [str(error)[:9] for error in errors] == ["images[1]", "images[2]", "images[1]"]
