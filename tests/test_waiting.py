"""Calls that wait: bounded in number and memory, and gone with the caller or the service."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.test_service import _jpeg
from vla_embeddings import EmbeddingConfig, EmbeddingService, admission
from vla_embeddings import images as images_module
from vla_embeddings import service as service_module
from vla_embeddings.errors import InvalidInput, Overloaded, ServiceClosed
from vla_embeddings.runtime import ImageInput, Pool, TextEncoder, preprocess, snapshot
from vla_embeddings.runtime.encoders import Batch
from vla_embeddings.samples import make_instructions, make_scenes

SCENES = make_scenes(40)
FILES = [_jpeg(scene.image) for scene in SCENES]
ARRAYS = [np.asarray(scene.image) for scene in SCENES]
TEXTS = make_instructions(40)
ROOM = 8
PATIENCE = 30  # seconds, only against hanging


class Gate:
    """Holds up the threads that come to it, and notes what they work at."""

    def __init__(self) -> None:
        self.passed: list[Any] = []
        self.busy = threading.Event()
        self.open = threading.Event()

    def enter(self, item: object) -> None:
        self.passed.append(item)
        self.busy.set()
        assert self.open.wait(PATIENCE)

    async def hold_up(self, call: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """A call that stays at work until the gate is opened."""
        task = asyncio.create_task(call)
        assert await asyncio.to_thread(self.busy.wait, PATIENCE)
        return task


def _before_decoding(where: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()

    def enter(image: ImageInput, helpers: Pool | None = None) -> object:
        gate.enter(image)
        return preprocess(image, helpers)

    monkeypatch.setattr(where, "preprocess", enter)
    yield gate
    gate.open.set()


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Before the decoding of a single image."""
    yield from _before_decoding(service_module, monkeypatch)


@pytest.fixture
def batch_decoding(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Before the decoding of an image of a batch call."""
    yield from _before_decoding(images_module, monkeypatch)


@pytest.fixture
def encoding(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Before the encoding of texts."""
    gate, batches = Gate(), TextEncoder.batches

    def enter(encoder: TextEncoder, items: Sequence[str]) -> list[Batch]:
        gate.enter(list(items))
        return batches(encoder, items)

    monkeypatch.setattr(TextEncoder, "batches", enter)
    yield gate
    gate.open.set()


@pytest.fixture
async def service(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[EmbeddingService]:
    """With one thread of each kind, and little room."""
    for bound in ("MAX_WAITING", "MAX_BATCH_TEXTS", "BATCH_IMAGES"):
        monkeypatch.setattr(service_module, bound, ROOM)
    config = EmbeddingConfig(models_dir=models_dir, threads=1)
    async with EmbeddingService(config=config, allow_untrained=True) as service:
        yield service


async def _begun() -> None:
    """Until all calls have come to where they wait."""
    for _ in range(50):
        await asyncio.sleep(0)


def _tasks(calls: Sequence[Coroutine[Any, Any, Any]]) -> list["asyncio.Task[Any]"]:
    return [asyncio.create_task(call) for call in calls]


async def _refused(
    calls: Sequence["asyncio.Task[Any]"], count: int, message: str
) -> list["asyncio.Task[Any]"]:
    """Those that wait, once so many of the calls were refused."""
    for ended in islice(asyncio.as_completed(calls, timeout=PATIENCE), count):
        with pytest.raises(Overloaded, match=message):
            await ended
    return [call for call in calls if not call.done()]


async def _cancel(calls: Sequence["asyncio.Task[Any]"]) -> None:
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)


async def test_images_whose_callers_have_gone_are_not_decoded(
    service: EmbeddingService, decoding: Gate
) -> None:
    first = await decoding.hold_up(service.get_image_embedding(FILES[0]))
    for _ in range(3):  # more than there is room for at once
        gone = _tasks([service.get_image_embedding(file) for file in FILES[1:ROOM]])
        await _begun()
        await _cancel(gone)
    [last] = _tasks([service.get_image_embedding(FILES[-1])])

    decoding.open.set()
    await asyncio.gather(first, last)

    assert decoding.passed == [FILES[0], FILES[-1]]


async def test_instructions_whose_callers_have_gone_are_not_encoded(
    service: EmbeddingService, encoding: Gate
) -> None:
    first = await encoding.hold_up(service.get_instruction_embedding(TEXTS[0]))
    for _ in range(3):
        gone = _tasks([service.get_instruction_embedding(text) for text in TEXTS[1:ROOM]])
        await _begun()
        await _cancel(gone)
    [last] = _tasks([service.get_instruction_embedding(TEXTS[-1])])

    encoding.open.set()
    await asyncio.gather(first, last)

    assert encoding.passed == [[TEXTS[0]], [TEXTS[-1]]]


async def test_a_batch_call_whose_caller_has_gone_is_not_encoded(
    service: EmbeddingService, encoding: Gate
) -> None:
    first = await encoding.hold_up(service.batch_generate_embeddings(TEXTS[:1]))
    gone = _tasks([service.batch_generate_embeddings(TEXTS[1:ROOM])])
    await _begun()
    await _cancel(gone)
    [last] = _tasks([service.batch_generate_embeddings(TEXTS[-1:])])

    encoding.open.set()
    await asyncio.gather(first, last)

    assert encoding.passed == [[TEXTS[0]], [TEXTS[-1]]]


async def test_of_equal_calls_those_that_stay_get_the_vector(
    service: EmbeddingService, encoding: Gate
) -> None:
    calls = _tasks([service.get_instruction_embedding(TEXTS[0]) for _ in range(20)])
    assert await asyncio.to_thread(encoding.busy.wait, PATIENCE)

    await _cancel(calls[::2])
    encoding.open.set()
    vectors = await asyncio.gather(*calls[1::2])

    assert len({vector.tobytes() for vector in vectors}) == 1
    assert encoding.passed == [[TEXTS[0]]]


async def test_too_many_images_are_refused_before_they_are_copied(
    service: EmbeddingService, decoding: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[ImageInput] = []

    def watch(image: ImageInput) -> ImageInput:
        copied.append(image)
        return snapshot(image)

    monkeypatch.setattr(service_module, "snapshot", watch)
    calls = _tasks([service.get_image_embedding(array) for array in ARRAYS])
    waiting = await _refused(calls, len(calls) - ROOM, "8 images are waiting already")

    assert len(copied) == ROOM
    decoding.open.set()
    await asyncio.gather(*waiting)
    assert (await service.get_image_embedding(ARRAYS[-1])).shape == (512,)


async def test_images_that_hold_too_much_memory_are_refused(
    service: EmbeddingService, decoding: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_IMAGE_BYTES", 2 * ARRAYS[0].nbytes)
    calls = _tasks([service.get_image_embedding(array) for array in ARRAYS[:3]])
    waiting = await _refused(calls, 1, "2 images are waiting already and hold")
    endless = np.broadcast_to(np.uint8(0), (60_000, 60_000, 3))  # wrong however little waits
    with pytest.raises(InvalidInput, match="60000"):
        await service.get_image_embedding(endless)

    decoding.open.set()
    await asyncio.gather(*waiting)


async def test_too_many_instructions_are_refused(
    service: EmbeddingService, encoding: Gate
) -> None:
    calls = _tasks([service.get_instruction_embedding(text) for text in TEXTS])
    waiting = await _refused(calls, len(calls) - ROOM, "8 instructions are waiting already")

    encoding.open.set()
    await asyncio.gather(*waiting)


async def test_a_batch_call_of_any_size_works_and_too_many_at_once_are_refused(
    service: EmbeddingService, encoding: Gate
) -> None:
    large = await encoding.hold_up(service.batch_generate_embeddings(TEXTS))
    others = _tasks([service.batch_generate_embeddings([text]) for text in TEXTS])
    await _refused(others, len(others), "40 texts of batch calls are waiting already")
    single = asyncio.create_task(service.get_instruction_embedding(TEXTS[0]))

    encoding.open.set()
    assert (await large)["text_embeddings"].shape == (len(TEXTS), 384)
    assert (await single).shape == (384,)


async def test_too_many_batch_calls_of_images_are_refused(
    service: EmbeddingService, encoding: Gate
) -> None:
    first = await encoding.hold_up(service.batch_generate_embeddings(TEXTS[:1], FILES[:ROOM]))

    with pytest.raises(Overloaded, match="8 images of batch calls are waiting already"):
        await service.batch_generate_embeddings(images=FILES[ROOM:])
    encoding.open.set()
    assert (await first)["image_embeddings"].shape == (ROOM, 512)


async def test_a_batch_call_counts_for_two_windows_of_images(
    service: EmbeddingService, batch_decoding: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_module, "WINDOW", 3)
    first = await batch_decoding.hold_up(service.batch_generate_embeddings(images=FILES[:20]))
    [second] = _tasks([service.batch_generate_embeddings(images=FILES[20:22])])
    await _begun()

    with pytest.raises(Overloaded, match="8 images of batch calls are waiting already"):
        await service.batch_generate_embeddings(images=FILES[22:23])
    batch_decoding.open.set()
    await asyncio.gather(first, second)


@pytest.mark.parametrize(
    "of", [FILES[:16], [scene.image for scene in SCENES[:16]]], ids=["files", "PIL"]
)
async def test_a_single_image_waits_for_none_of_batch_calls(
    service: EmbeddingService, batch_decoding: Gate, of: list[ImageInput]
) -> None:
    batch = await batch_decoding.hold_up(service.batch_generate_embeddings(images=of))

    assert (await service.get_image_embedding(of[-1])).shape == (512,)

    assert not batch.done()
    batch_decoding.open.set()
    await batch


async def test_equal_batch_calls_at_once_are_computed_once(
    service: EmbeddingService, encoding: Gate
) -> None:
    calls = _tasks([service.batch_generate_embeddings(TEXTS[:2]) for _ in range(4)])
    assert await asyncio.to_thread(encoding.busy.wait, PATIENCE)

    encoding.open.set()
    first, *others = [(await call)["text_embeddings"] for call in calls]
    first[:] = 0

    assert encoding.passed == [TEXTS[:2]]
    for other in others:
        np.testing.assert_array_equal(other, others[0])
        assert np.linalg.norm(other, axis=1) == pytest.approx(1, abs=1e-6)


async def test_cleanup_decodes_nothing_that_waits(
    service: EmbeddingService, decoding: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await decoding.hold_up(service.get_image_embedding(FILES[0]))
    waiting = _tasks([service.get_image_embedding(file) for file in FILES[1:ROOM]])
    await _begun()
    shutdown = ThreadPoolExecutor.shutdown

    def let_go_and_shut_down(pool: ThreadPoolExecutor, wait: bool = True) -> None:
        decoding.open.set()
        shutdown(pool, wait=wait)

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", let_go_and_shut_down)
    service.cleanup()
    results = await asyncio.gather(first, *waiting, return_exceptions=True)

    assert [type(result) for result in results] == [ServiceClosed] * ROOM
    assert decoding.passed == [FILES[0]]
