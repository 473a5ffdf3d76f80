"""EmbeddingService: right vectors, whatever the cache does, without blocking the event loop."""

import asyncio
import contextlib
import gc
import io
import os
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from prometheus_client import REGISTRY

from tests.cache.servers import PatientCache
from tests.conversions import watch_conversions
from tests.test_turns import OtherTask
from vla_embeddings import EmbeddingCache, EmbeddingConfig, EmbeddingService
from vla_embeddings import images as images_module
from vla_embeddings import service as service_module
from vla_embeddings.cache import instruction_key
from vla_embeddings.config import Device
from vla_embeddings.errors import (
    ConfigurationError,
    EmbeddingsDisabled,
    InvalidInput,
    ModelNotFound,
    ProviderUnavailable,
    ServiceClosed,
    UntrainedModel,
)
from vla_embeddings.models import Artifact, ArtifactStore, Model
from vla_embeddings.runtime import CPU_CHOICE, MAX_CHARACTERS, ProviderChoice, TextEncoder
from vla_embeddings.runtime import lane as lane_module
from vla_embeddings.runtime.providers import CPU
from vla_embeddings.runtime.selection import Selection
from vla_embeddings.runtime.session import Session
from vla_embeddings.runtime.tokens import Tokenizer
from vla_embeddings.samples import make_instructions, make_scenes

PATIENCE = 30  # seconds, only against hanging


@pytest.fixture
def config(models_dir: Path) -> EmbeddingConfig:
    return EmbeddingConfig(models_dir=models_dir)


@pytest.fixture
async def service(config: EmbeddingConfig) -> AsyncIterator[EmbeddingService]:
    async with EmbeddingService(config=config, allow_untrained=True) as service:
        yield service


@pytest.fixture
async def cached(config: EmbeddingConfig, redis_url: str) -> AsyncIterator[EmbeddingService]:
    """A service on a Redis without embeddings."""
    cache = PatientCache(redis_url=redis_url)
    await cache.clear_pattern("*")
    async with EmbeddingService(cache=cache, config=config, allow_untrained=True) as service:
        yield service


def _computed(kind: str) -> float:
    """How many computations the metrics have counted."""
    return REGISTRY.get_sample_value("embedding_generation_seconds_count", {"kind": kind}) or 0.0


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


def _opened(image: Image.Image) -> Image.Image:
    """The same pixels, as an opened file that was not read yet."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return Image.open(file)


async def test_an_instruction_gives_a_unit_vector_of_384(service: EmbeddingService) -> None:
    vector = await service.get_instruction_embedding("pick up the red block")

    assert vector.shape == (384,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


async def test_an_image_gives_the_same_vector_as_pil_array_and_file(
    service: EmbeddingService,
) -> None:
    scene = make_scenes(1)[0].image
    png = io.BytesIO()
    scene.save(png, "PNG")

    vectors = [
        await service.get_image_embedding(image)
        for image in (scene, np.asarray(scene), png.getvalue())
    ]

    assert vectors[0].shape == (512,)
    assert vectors[0].dtype == np.float32
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[2])


async def test_an_image_counts_as_it_was_when_the_call_began(cached: EmbeddingService) -> None:
    """A camera may write its next frame into the same buffer, whatever waits for the vector."""
    first, following = (scene.image for scene in make_scenes(2))
    expected = await cached.get_image_embedding(first, use_cache=False)
    images: list[Any] = [np.asarray(first).copy(), first.copy()]

    for image in images:
        call = asyncio.create_task(cached.get_image_embedding(image))
        await asyncio.sleep(0)
        if isinstance(image, np.ndarray):
            image[:] = np.asarray(following)
        else:
            image.paste(following)

        np.testing.assert_array_equal(await call, expected)
        np.testing.assert_array_equal(await cached.get_image_embedding(first), expected)


async def test_an_opened_image_that_was_loaded_counts_as_it_was_when_the_call_began(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the thread that reads images is busy until it was changed."""
    changed = threading.Event()
    first, following, busy = (scene.image for scene in make_scenes(3))
    image, slow = _opened(first), _opened(busy)
    load = slow.load

    def load_late() -> object:
        changed.wait(20)
        return load()

    monkeypatch.setattr(slow, "load", load_late)
    config = EmbeddingConfig(models_dir=models_dir, threads=1)
    async with EmbeddingService(config=config, allow_untrained=True) as service:
        expected = await service.get_image_embedding(first)
        image.load()
        before = asyncio.create_task(service.get_image_embedding(slow))
        call = asyncio.create_task(service.get_image_embedding(image))
        await asyncio.sleep(0)
        image.paste(following)
        changed.set()

        await before
        np.testing.assert_array_equal(await call, expected)


async def test_an_opened_image_gives_the_vector_of_its_file(service: EmbeddingService) -> None:
    file = _jpeg(make_scenes(1)[0].image)

    opened = await service.get_image_embedding(Image.open(io.BytesIO(file)))

    np.testing.assert_allclose(opened, await service.get_image_embedding(file), rtol=0, atol=1e-5)


async def test_a_jpeg_may_be_scaled_while_it_is_decoded(cached: EmbeddingService) -> None:
    """As docs/adr/0015 says, and its vector is not taken for the exact one."""
    file = _jpeg(make_scenes(1)[0].image.resize((1920, 1080)))
    scaled = Image.open(io.BytesIO(file))
    scaled.draft("RGB", (224, 224))

    vector = await cached.get_image_embedding(scaled)

    assert scaled.size == (480, 270)
    exact = await cached.get_image_embedding(Image.open(io.BytesIO(file)))
    assert vector @ exact > 0.999
    assert not np.array_equal(vector, exact)


async def test_a_pil_image_is_converted_once(
    cached: EmbeddingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For its key and its vector, whichever way it stands."""
    scene = make_scenes(1)[0].image
    turned = scene.transpose(Image.Transpose.ROTATE_90).convert("CMYK")
    turned.getexif()[ExifTags.Base.Orientation] = 6
    seen = watch_conversions(monkeypatch)

    vector = await cached.get_image_embedding(turned)

    assert seen == ["CMYK"]
    upright = scene.convert("CMYK").convert("RGB")
    np.testing.assert_array_equal(await cached.get_image_embedding(upright), vector)


async def test_a_text_query_lies_in_the_space_of_images(service: EmbeddingService) -> None:
    vector = await service.get_image_query_embedding("a red block left of a blue bowl")

    assert vector.shape == (512,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


async def test_similar_instructions_are_nearer_than_others(service: EmbeddingService) -> None:
    red, cube, drawer = [
        await service.get_instruction_embedding(text)
        for text in ("pick up the red block", "grasp the red cube", "open the drawer")
    ]

    assert red @ cube > red @ drawer + 0.2


async def test_a_batch_equals_the_single_calls_in_order(service: EmbeddingService) -> None:
    texts = [*make_instructions(40), "go", make_instructions(1)[0]]
    images: list[Any] = [scene.image for scene in make_scenes(10)]

    batch = await service.batch_generate_embeddings(texts=texts, images=images)

    texts_alone = [await service.get_instruction_embedding(text) for text in texts]
    images_alone = [await service.get_image_embedding(image) for image in images]
    np.testing.assert_allclose(batch["text_embeddings"], texts_alone, atol=1e-5)
    np.testing.assert_allclose(batch["image_embeddings"], images_alone, atol=1e-5)


async def test_a_call_of_several_windows_is_bulk_work_to_its_last_text(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """So that a process with bulk work alone loads no session for requests."""
    caplog.set_level("INFO", "vla_embeddings")
    monkeypatch.setattr(service_module, "TEXTS_AT_ONCE", 100)
    texts = make_instructions(201)

    async with EmbeddingService(config=EmbeddingConfig(models_dir=models_dir, threads=2)) as one:
        batch = await one.batch_generate_embeddings(texts=texts)
        loads = [each.getMessage() for each in caplog.records if "Loaded" in each.getMessage()]
        last = await one.get_instruction_embedding(texts[-1])

    assert len(loads) == 1
    assert loads[0].endswith("on cpu, threads: 1")
    np.testing.assert_allclose(batch["text_embeddings"][-1], last, rtol=0, atol=1e-5)


async def test_an_empty_batch_has_empty_arrays(service: EmbeddingService) -> None:
    batch = await service.batch_generate_embeddings(texts=[], images=[])

    assert batch["text_embeddings"].shape == (0, 384)
    assert batch["image_embeddings"].shape == (0, 512)


async def test_the_second_call_comes_from_the_cache(cached: EmbeddingService) -> None:
    first = await cached.get_instruction_embedding("stack the blocks")
    before = _computed("instruction")

    second = await cached.get_instruction_embedding("stack the blocks")

    assert _computed("instruction") == before
    np.testing.assert_array_equal(first, second)


async def test_a_batch_computes_only_what_the_cache_lacks(cached: EmbeddingService) -> None:
    known, new = await cached.get_instruction_embedding("open the lid"), "close the lid"
    scene = make_scenes(1)[0].image
    seen = await cached.get_image_embedding(scene)
    images_before = _computed("image-batch")

    batch = await cached.batch_generate_embeddings(
        texts=["open the lid", new, "open the lid"], images=[scene]
    )

    np.testing.assert_array_equal(batch["text_embeddings"][[0, 2]], [known, known])
    np.testing.assert_array_equal(batch["image_embeddings"], [seen])
    assert _computed("image-batch") == images_before
    assert await cached.get_instruction_embedding(new) is not None


async def test_a_batch_is_timed_apart_from_single_calls_and_a_failure_not_at_all(
    service: EmbeddingService,
) -> None:
    kinds = ("instruction", "image", "image-query", "instruction-batch", "image-batch")
    before = [_computed(kind) for kind in kinds]
    image = make_scenes(1)[0].image

    await service.batch_generate_embeddings(texts=["up", "down"], images=[image])
    await service.get_image_query_embedding("a red block")
    with pytest.raises(InvalidInput, match="image-query: expected"):
        await service.get_image_query_embedding("")
    with pytest.raises(InvalidInput):
        await service.get_image_embedding(b"no image")
    with pytest.raises(InvalidInput):
        await service.batch_generate_embeddings(images=[b"no image"])

    assert [_computed(kind) for kind in kinds] == [
        count + more for count, more in zip(before, (0, 0, 1, 1, 1), strict=True)
    ]


async def test_use_cache_false_computes_anew(cached: EmbeddingService) -> None:
    await cached.get_instruction_embedding("pour the water")
    before = _computed("instruction")

    await cached.get_instruction_embedding("pour the water", use_cache=False)

    assert _computed("instruction") == before + 1


async def test_changing_a_vector_changes_nobody_elses(cached: EmbeddingService) -> None:
    first, same = await asyncio.gather(
        *[cached.get_instruction_embedding("wipe the counter") for _ in range(2)]
    )
    first[:] = 0

    later = await cached.get_instruction_embedding("wipe the counter")

    assert np.linalg.norm(same) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(later, same)


async def test_a_thousand_equal_calls_are_computed_once(cached: EmbeddingService) -> None:
    await cached.get_instruction_embedding("warm up")
    before = _computed("instruction")

    vectors = await asyncio.gather(
        *[cached.get_instruction_embedding("sort the cans") for _ in range(1000)]
    )

    assert _computed("instruction") == before + 1
    assert len({vector.tobytes() for vector in vectors}) == 1


async def test_a_redis_that_is_down_changes_no_vector(
    config: EmbeddingConfig, service: EmbeddingService
) -> None:
    expected = await service.get_instruction_embedding("lift the lid")
    cache = EmbeddingCache(redis_url="redis://127.0.0.1:1")

    async with EmbeddingService(cache=cache, config=config) as unlucky:
        vector = await unlucky.get_instruction_embedding("lift the lid")
        batch = await unlucky.batch_generate_embeddings(texts=["lift the lid"])

    np.testing.assert_allclose(vector, expected, atol=1e-6)
    np.testing.assert_allclose(batch["text_embeddings"], [expected], atol=1e-6)


async def test_no_vector_is_cached_as_of_the_precision_of_a_device_that_failed(
    models_dir: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = TextEncoder.load

    def choose(
        model: Model, store: ArtifactStore, device: Device, _: str, failed: Collection[Device]
    ) -> Selection:
        if not failed:
            return store.open(model, "fp16"), ProviderChoice("cuda", (CPU,))
        return store.open(model, "fp32"), CPU_CHOICE

    def without_gpu(artifact: Artifact, choice: ProviderChoice, threads: int) -> TextEncoder:
        if choice.device != "cpu":
            raise ProviderUnavailable("no CUDA after all")
        return load(artifact, choice, threads)

    monkeypatch.setattr(lane_module, "select", choose)
    monkeypatch.setattr(TextEncoder, "load", without_gpu)
    cache, config = PatientCache(redis_url=redis_url), EmbeddingConfig(models_dir=models_dir)
    await cache.clear_pattern("*")
    text = "close the gripper"

    async with EmbeddingService(cache=cache, config=config, device="auto") as service:
        promised = await service.fingerprint("text")
        await service.get_instruction_embedding(text)
        assert await cache.get_embedding(instruction_key(promised, text)) is None

        await service.get_instruction_embedding(text)
        real = await service.fingerprint("text")
        assert await cache.get_embedding(instruction_key(real, text)) is not None

    assert ("/fp16/" in promised, "/fp32/" in real) == (True, True)


async def test_the_event_loop_runs_on_while_models_load_and_compute(
    config: EmbeddingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, held = asyncio.get_running_loop(), set[str]()

    def hold_up(of: object, name: str) -> None:
        """Each such call waits until the loop has had a turn."""
        work: Callable[..., object] = getattr(of, name)

        def wait_and_work(*arguments: object, **named: object) -> object:
            turn = threading.Event()
            loop.call_soon_threadsafe(turn.set)
            assert turn.wait(PATIENCE), f"{name} keeps the event loop"
            held.add(name)
            return work(*arguments, **named)

        monkeypatch.setattr(of, name, wait_and_work)

    hold_up(Session, "load")
    hold_up(Session, "run")
    hold_up(Tokenizer, "encode")
    hold_up(images_module, "preprocess")
    async with EmbeddingService(config=config, allow_untrained=True) as service:
        scenes = [_jpeg(scene.image) for scene in make_scenes(8)]
        await service.batch_generate_embeddings(texts=make_instructions(100), images=scenes)

    assert held == {"load", "run", "encode", "preprocess"}


async def test_the_event_loop_has_turns_while_long_texts_are_checked(
    service: EmbeddingService,
) -> None:
    texts: list[Any] = [*["\u200b" * (MAX_CHARACTERS - 1) + "a"] * 20, 7]

    async with OtherTask() as other:
        with pytest.raises(InvalidInput, match=r"texts\[20\]"):
            await service.batch_generate_embeddings(texts=texts)

    assert other.turns == 20


async def test_a_cancelled_caller_harms_nobody(service: EmbeddingService) -> None:
    expected = await service.get_instruction_embedding("turn left")
    callers = [
        asyncio.create_task(service.get_instruction_embedding("turn left")) for _ in range(20)
    ]
    await asyncio.sleep(0)

    for caller in callers[::2]:
        caller.cancel()
    results = await asyncio.gather(*callers, return_exceptions=True)

    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    for result in results[1::2]:
        np.testing.assert_allclose(np.asarray(result), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        (7, "expected a string, got int"),
        (None, "expected a string, got NoneType"),
        ("", "which is blank"),
        (" \t\n", "which is blank"),
        ("\u200b", "without any visible character"),
        ("\x00\ufeff \xad", "without any visible character"),
        ("\ud800", "not valid Unicode"),
        ("x" * (MAX_CHARACTERS + 1), "at most 100,000 characters, got 100,001"),
    ],
)
async def test_an_unusable_instruction_says_what_was_expected(
    service: EmbeddingService, instruction: Any, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        await service.get_instruction_embedding(instruction)

    with pytest.raises(InvalidInput, match=rf"texts\[1\]: .*{message}"):
        await service.batch_generate_embeddings(texts=["fine", instruction])


async def test_a_service_that_is_dropped_ends_its_threads_and_frees_its_models(
    config: EmbeddingConfig,
) -> None:
    before = set(threading.enumerate())
    service = EmbeddingService(config=config, allow_untrained=True)
    scene = _jpeg(make_scenes(1)[0].image)
    await service.batch_generate_embeddings(make_instructions(65), [scene])
    await service.get_instruction_embedding("go")
    lanes = [weakref.ref(lane) for lane in service._lanes.values()]

    del service
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("vla-embeddings"):
            await asyncio.to_thread(thread.join, 30)
            assert not thread.is_alive()

    gc.collect()
    assert [lane() for lane in lanes] == [None] * 3


async def test_a_batch_may_be_any_iterable(service: EmbeddingService) -> None:
    frames = np.stack([np.asarray(scene.image) for scene in make_scenes(2)])
    texts = ["open the drawer", "close the drawer"]

    listed = await service.batch_generate_embeddings(texts=texts, images=list(frames))
    others = await service.batch_generate_embeddings(texts=np.array(texts), images=frames)
    generated = await service.batch_generate_embeddings(texts=iter(texts))

    np.testing.assert_array_equal(others["image_embeddings"], listed["image_embeddings"])
    for batch in (others, generated):
        np.testing.assert_array_equal(batch["text_embeddings"], listed["text_embeddings"])


@pytest.mark.parametrize("name", ["texts", "images"])
@pytest.mark.parametrize("items", ["open", b"open", None, 7])
async def test_what_is_no_batch_is_refused(
    service: EmbeddingService, name: str, items: Any
) -> None:
    with pytest.raises(InvalidInput, match=f"{name}: expected a list of them, got "):
        await service.batch_generate_embeddings(**{name: items})


async def test_the_fingerprint_of_no_kind_is_refused(service: EmbeddingService) -> None:
    with pytest.raises(InvalidInput, match="kind must be one of text, image, clip-text; got"):
        await service.fingerprint("images")  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    "image",
    [
        b"",
        b"no image",
        "robot_view.jpg",
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3)),
        np.broadcast_to(np.uint8(0), (10**6, 10**6, 3)),
        np.broadcast_to(np.float64(0), (10**6, 10**6, 3)),
    ],
    ids=["empty", "text", "path", "no pixels", "float array", "terabytes", "float terabytes"],
)
async def test_an_unusable_image_is_refused_and_named_in_a_batch(
    service: EmbeddingService, image: Any
) -> None:
    with pytest.raises(InvalidInput):
        await service.get_image_embedding(image)

    with pytest.raises(InvalidInput, match=r"images\[1\]: "):
        await service.batch_generate_embeddings(images=[make_scenes(1)[0].image, image])


async def test_untrained_weights_are_refused_unless_asked_for(config: EmbeddingConfig) -> None:
    async with EmbeddingService(config=config) as service:
        with pytest.raises(UntrainedModel, match="allow_untrained=True"):
            await service.get_image_embedding(make_scenes(1)[0].image)


async def test_a_missing_model_names_the_command_that_makes_it(tmp_path: Path) -> None:
    async with EmbeddingService(config=EmbeddingConfig(models_dir=tmp_path)) as service:
        with pytest.raises(ModelNotFound, match="vla-embeddings export --model text"):
            await service.get_instruction_embedding("pick up the red block")


def test_an_unknown_model_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelNotFound, match="all-MiniLM-L6-v2"):
        EmbeddingService(config=EmbeddingConfig(text_model_name="all-MiniLM-L99"))


def test_an_unknown_device_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="one of auto, cpu, cuda, tensorrt; got 'gpu'"):
        EmbeddingService(device="gpu")  # type: ignore[arg-type]  # the mistake under test


async def test_embeddings_that_are_switched_off_are_an_error(models_dir: Path) -> None:
    config = EmbeddingConfig(models_dir=models_dir, enable_embeddings=False)
    async with EmbeddingService(config=config) as service:
        with pytest.raises(EmbeddingsDisabled, match="EMBEDDING_ENABLE_EMBEDDINGS"):
            await service.get_instruction_embedding("pick up the red block")


async def test_cleanup_ends_the_service_and_may_be_repeated(config: EmbeddingConfig) -> None:
    service = EmbeddingService(config=config)
    await service.get_instruction_embedding("pick up the red block")

    service.cleanup()
    service.cleanup()

    with pytest.raises(ServiceClosed, match="make a new EmbeddingService"):
        await service.get_instruction_embedding("pick up the red block")


async def test_a_block_that_is_cancelled_at_its_end_closes_the_cache_too(
    config: EmbeddingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = EmbeddingCache()
    service = EmbeddingService(cache=cache, config=config)
    ending, may_end, closed = threading.Event(), threading.Event(), asyncio.Event()

    def end() -> None:
        ending.set()
        may_end.wait(PATIENCE)

    async def close() -> None:
        closed.set()

    async def use() -> None:
        async with service:
            pass

    monkeypatch.setattr(service, "cleanup", end)
    monkeypatch.setattr(cache, "close", close)
    block = asyncio.create_task(use())
    assert await asyncio.to_thread(ending.wait, PATIENCE)

    block.cancel()
    await asyncio.wait([block])

    may_end.set()
    assert block.cancelled()
    assert closed.is_set()


def _priorities() -> list[int]:
    """Those of this process's threads."""
    found = []
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            found.append(os.getpriority(os.PRIO_PROCESS, int(thread)))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="priorities are a thread's own on Linux alone")
@pytest.mark.skipif(
    os.getpriority(os.PRIO_PROCESS, 0) > 0, reason="the tests were started with less priority"
)
async def test_embedding_threads_can_yield_to_all_others(models_dir: Path) -> None:
    config = EmbeddingConfig(models_dir=models_dir, nice=7)

    async with EmbeddingService(config=config) as service:
        await service.get_instruction_embedding("pick up the red block")

        assert 7 in _priorities()
    assert os.getpriority(os.PRIO_PROCESS, 0) == 0


async def test_the_provider_report_has_each_model_once_it_is_loaded(models_dir: Path) -> None:
    service = EmbeddingService(config=EmbeddingConfig(models_dir=models_dir, device="cpu"))
    assert service.provider_report() == []

    async with service:
        await service.get_instruction_embedding("go")
        [text] = service.provider_report()

    assert (text.model, text.precision, text.device) == ("all-MiniLM-L6-v2", "fp32", "cpu")
    assert text.nodes.keys() == {"CPUExecutionProvider"}
    assert text.operators["CPUExecutionProvider"]["Attention"] == 6
    assert service.provider_report() == []
