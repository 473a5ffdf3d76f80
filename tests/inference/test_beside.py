"""An inference gets its embeddings, or the reason why not, and never waits or fails for them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import asyncpg
import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import REGISTRY

from tests.inference.eventually import eventually
from tests.outage import Proxy
from vla_embeddings import EmbeddingCache, EmbeddingConfig, EmbeddingService
from vla_embeddings.errors import InvalidInput
from vla_embeddings.inference import Attempt, Embedded, InferenceEmbeddings, Reason, embeddings
from vla_embeddings.samples import make_scenes
from vla_embeddings.search import Database

SCENE = make_scenes(1)[0].image
SHUTDOWN_LOSSES = ("embedding_storage_failed_total", {"reason": "shutdown"})
INSTRUCTION = "pick up the red block"


async def agreed(customer_id: str) -> bool:
    return True


async def policy(seconds: float = 0.0) -> str:
    await asyncio.sleep(seconds)
    return "action"


PATIENT_MS = 20_000.0
"""A budget in which any machine makes the vectors."""


class SlowService(EmbeddingService):
    """Makes no vector of an image before it may, as an encoder on a busy machine."""

    def __init__(self, models_dir: Path) -> None:
        super().__init__(config=EmbeddingConfig(models_dir=models_dir), allow_untrained=True)
        self.may_make_images = asyncio.Event()

    async def get_image_embedding(self, image: Any, use_cache: bool = True) -> NDArray[np.float32]:
        await self.may_make_images.wait()
        return await super().get_image_embedding(image, use_cache)


class BrokenService(EmbeddingService):
    """Fails in a way that nobody foresaw."""

    async def get_image_embedding(self, image: Any, use_cache: bool = True) -> NDArray[np.float32]:
        raise ZeroDivisionError("a fault of the encoder")


async def infer(
    inference: InferenceEmbeddings,
    action: Awaitable[str] | None = None,
    *,
    instruction: Any = INSTRUCTION,
    image: Any = SCENE,
    analytics_id: int | None = None,
) -> tuple[str, Embedded]:
    return await inference.beside(
        action or policy(),
        instruction=instruction,
        image=image,
        customer_id="customer_123",
        analytics_id=analytics_id,
    )


async def test_an_inference_gets_the_vectors_of_the_service(
    service: EmbeddingService, db: Database
) -> None:
    async with InferenceEmbeddings(service, db, budget_ms=PATIENT_MS) as inference:
        action, embedded = await infer(inference)

    assert action == "action"
    assert embedded.instruction.reason is embedded.image.reason is None
    np.testing.assert_allclose(
        np.asarray(embedded.instruction.vector),
        await service.get_instruction_embedding(INSTRUCTION),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        np.asarray(embedded.image.vector), await service.get_image_embedding(SCENE), atol=1e-6
    )


async def test_embeddings_are_made_while_the_policy_computes(
    service: EmbeddingService, db: Database
) -> None:
    """The action waits for the embeddings to be under way, which a sequence would never reach."""
    computed = asyncio.Event()

    class Watched(EmbeddingService):
        async def get_image_embedding(
            self, image: Any, use_cache: bool = True
        ) -> NDArray[np.float32]:
            computed.set()
            return await service.get_image_embedding(image, use_cache)

    async def act() -> str:
        await computed.wait()
        return "action"

    watched = Watched(config=EmbeddingConfig())
    async with watched, InferenceEmbeddings(watched, db) as inference:
        assert (await infer(inference, act()))[0] == "action"


async def _overwrite(image: NDArray[np.uint8]) -> str:
    image[...] = 7
    return "action"


async def _overwrite_in_a_thread(image: NDArray[np.uint8]) -> str:
    return await asyncio.to_thread(lambda: asyncio.run(_overwrite(image)))


@pytest.mark.parametrize("act", [_overwrite, _overwrite_in_a_thread])
async def test_the_image_is_embedded_as_it_was_before_the_policy_began(
    service: EmbeddingService,
    db: Database,
    act: Callable[[NDArray[np.uint8]], Awaitable[str]],
) -> None:
    image = np.full((480, 640, 3), 200, np.uint8)
    expected = await service.get_image_embedding(image.copy())

    async with InferenceEmbeddings(service, db, budget_ms=PATIENT_MS) as inference:
        _, embedded = await infer(inference, act(image), image=image)

    assert image.max() == 7
    np.testing.assert_allclose(np.asarray(embedded.image.vector), expected, atol=1e-6)


async def test_a_late_vector_delays_no_action_and_is_stored_when_it_comes(
    models_dir: Path, db: Database
) -> None:
    await db.pool.execute("INSERT INTO instruction_analytics (id) VALUES (456)")
    slow = SlowService(models_dir)
    before = _outcomes("image", "late")

    async with slow, InferenceEmbeddings(slow, db, consent=agreed, flush_seconds=60) as inference:
        # An inference that waited for its vector would get it.
        asyncio.get_running_loop().call_later(2, slow.may_make_images.set)
        _, embedded = await infer(inference, analytics_id=456)
        slow.may_make_images.set()

    assert embedded.image.vector is None
    assert embedded.image.reason is Reason.LATE
    assert _outcomes("image", "late") == before + 1
    assert await db.pool.fetchval(
        "SELECT image_embedding IS NOT NULL FROM context_metadata WHERE analytics_id = 456"
    )


async def test_a_vector_not_made_before_the_shutdown_is_reported_with_its_id(
    models_dir: Path, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    slow = SlowService(models_dir)
    before = REGISTRY.get_sample_value(*SHUTDOWN_LOSSES) or 0.0

    async with slow, InferenceEmbeddings(slow, db, flush_seconds=0.5) as inference:
        await infer(inference, analytics_id=456)

    lost = [entry for entry in caplog.records if entry.levelname == "ERROR"]
    [entry] = [entry for entry in lost if entry.__dict__["embedding_kind"] == "image"]
    assert "not ready before the end" in entry.message
    assert entry.__dict__["analytics_id"] == 456
    assert entry.__dict__["customer_id"] == "customer_123"
    assert entry.__dict__["reason"] == "shutdown"
    assert REGISTRY.get_sample_value(*SHUTDOWN_LOSSES) == before + len(lost)


async def test_a_late_vector_that_then_fails_is_reported_with_its_id(
    models_dir: Path, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller was told that it would be stored."""

    class LateAndBroken(SlowService):
        async def get_image_embedding(
            self, image: Any, use_cache: bool = True
        ) -> NDArray[np.float32]:
            await super().get_image_embedding(image, use_cache)
            raise ZeroDivisionError("a fault of the encoder")

    await db.pool.execute("INSERT INTO instruction_analytics (id) VALUES (456)")
    broken = LateAndBroken(models_dir)
    async with (
        broken,
        InferenceEmbeddings(broken, db, consent=agreed, flush_seconds=60) as inference,
    ):
        _, embedded = await infer(inference, analytics_id=456)
        broken.may_make_images.set()

    assert embedded.image.reason is Reason.LATE
    [entry] = [entry for entry in caplog.records if entry.levelname == "ERROR"]
    assert entry.__dict__["reason"] == "not made"
    assert entry.__dict__["analytics_id"] == 456


async def test_an_end_that_is_cut_short_reports_what_is_not_stored(
    service: EmbeddingService, proxy: Proxy, fragile: Database
) -> None:
    """Five wait for the database when the service's own shutdown runs out of time."""
    lost: list[Attempt] = []
    before = _queue_depth()

    async def all_wait() -> bool:
        return _queue_depth() == before + 10

    async def serve() -> None:
        async with InferenceEmbeddings(
            service,
            fragile,
            consent=agreed,
            budget_ms=PATIENT_MS,
            flush_seconds=60,
            on_lost=lost.append,
        ) as inference:
            await proxy.shut()
            for number in range(5):
                await infer(inference, analytics_id=number)

    serving = asyncio.create_task(serve())
    await eventually(all_wait)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving

    assert sorted(attempt.record.inference.analytics_id for attempt in lost) == [
        number for number in range(5) for _ in ("instruction", "image")
    ]
    assert {attempt.fate for attempt in lost} == {"shutdown"}


async def test_a_numpy_integer_is_an_analytics_id(service: EmbeddingService, db: Database) -> None:
    await db.pool.execute("INSERT INTO instruction_analytics (id) VALUES (456)")
    async with InferenceEmbeddings(service, db, consent=agreed, budget_ms=PATIENT_MS) as inference:
        await infer(inference, analytics_id=cast(int, np.int64(456)))

    assert await db.pool.fetchval("SELECT analytics_id FROM context_metadata") == 456


async def test_an_image_that_is_ready_does_not_wait_for_its_instruction_to_be_stored(
    models_dir: Path, db: Database
) -> None:
    class SlowText(EmbeddingService):
        async def get_instruction_embedding(
            self, instruction: str, use_cache: bool = True
        ) -> NDArray[np.float32]:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

    slow = SlowText(config=EmbeddingConfig(models_dir=models_dir), allow_untrained=True)
    await slow.get_image_embedding(SCENE)

    async def image_is_stored() -> bool:
        count = "SELECT count(image_embedding) FROM context_metadata"
        return bool(await db.pool.fetchval(count) == 1)

    async with slow, InferenceEmbeddings(slow, db, consent=agreed, flush_seconds=0.1) as inference:
        await infer(inference, analytics_id=456)
        await eventually(image_is_stored)


async def test_a_policys_error_is_raised_and_nothing_is_stored(
    service: EmbeddingService, db: Database
) -> None:
    async def fail() -> str:
        await asyncio.sleep(0.2)
        raise RuntimeError("the policy's own")

    async with InferenceEmbeddings(service, db, consent=agreed) as inference:
        with pytest.raises(RuntimeError, match="the policy's own"):
            await infer(inference, fail(), analytics_id=456)

    assert await db.pool.fetchval("SELECT count(*) FROM context_metadata") == 0


async def test_a_cancelled_inference_cancels_its_policy(
    service: EmbeddingService, db: Database
) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def act() -> str:
        try:
            began.set()
            return await policy(60.0)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with InferenceEmbeddings(service, db) as inference:
        task = asyncio.create_task(infer(inference, act()))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cancelled.is_set()


async def test_a_cancelled_inference_ends_at_once_and_stores_nothing(
    service: EmbeddingService, db: Database
) -> None:
    async with InferenceEmbeddings(service, db, consent=agreed) as inference:
        task = asyncio.create_task(infer(inference, policy(60.0), analytics_id=456))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert await db.pool.fetchval("SELECT count(*) FROM context_metadata") == 0


@pytest.mark.parametrize("instruction", ["", None, 7])
@pytest.mark.parametrize("image", [b"no image", None])
async def test_unusable_input_is_a_reason_and_no_error(
    service: EmbeddingService, db: Database, instruction: Any, image: Any
) -> None:
    async with InferenceEmbeddings(service, db, budget_ms=PATIENT_MS) as inference:
        action, embedded = await infer(inference, instruction=instruction, image=image)

    assert action == "action"
    assert embedded.instruction.reason is embedded.image.reason is Reason.INVALID_INPUT
    assert "expected" in embedded.instruction.detail


async def test_an_unforeseen_fault_of_the_encoder_is_a_reason(
    models_dir: Path, db: Database
) -> None:
    broken = BrokenService(config=EmbeddingConfig(models_dir=models_dir))

    async with broken, InferenceEmbeddings(broken, db, budget_ms=PATIENT_MS) as inference:
        _, embedded = await infer(inference)

    assert embedded.instruction.vector is not None
    assert embedded.image.reason is Reason.FAILED
    assert embedded.image.detail == "ZeroDivisionError: a fault of the encoder"


async def test_embeddings_switched_off_are_a_reason(models_dir: Path, db: Database) -> None:
    config = EmbeddingConfig(models_dir=models_dir, enable_embeddings=False)

    async with (
        EmbeddingService(config=config) as off,
        InferenceEmbeddings(off, db, budget_ms=PATIENT_MS) as inference,
    ):
        _, embedded = await infer(inference)

    assert embedded.instruction.reason is embedded.image.reason is Reason.DISABLED


async def test_models_that_are_missing_are_a_reason(tmp_path: Path, db: Database) -> None:
    missing = EmbeddingService(config=EmbeddingConfig(models_dir=tmp_path))

    async with missing, InferenceEmbeddings(missing, db, budget_ms=PATIENT_MS) as inference:
        _, embedded = await infer(inference)

    assert embedded.image.reason is Reason.FAILED
    assert "vla-embeddings export" in embedded.image.detail


async def test_past_the_limit_nothing_more_is_begun(
    monkeypatch: pytest.MonkeyPatch, models_dir: Path, db: Database
) -> None:
    monkeypatch.setattr(embeddings, "MAX_MAKING", 4)
    slow = SlowService(models_dir)

    async with slow, InferenceEmbeddings(slow, db) as inference:
        found = await asyncio.gather(*[infer(inference, policy(0.01)) for _ in range(5)])

    reasons = [embedded.image.reason for _, embedded in found]
    assert reasons.count(Reason.LATE) == 2
    assert reasons.count(Reason.OVERLOADED) == 3


async def test_a_redis_that_is_down_costs_no_vector(models_dir: Path, db: Database) -> None:
    unlucky = EmbeddingService(
        cache=EmbeddingCache(redis_url="redis://127.0.0.1:1"),
        config=EmbeddingConfig(models_dir=models_dir),
        allow_untrained=True,
    )

    async with unlucky, InferenceEmbeddings(unlucky, db, budget_ms=PATIENT_MS) as inference:
        _, embedded = await infer(inference)

    assert embedded.instruction.vector is not None
    assert embedded.image.vector is not None


async def test_a_database_that_is_down_costs_no_vector(
    service: EmbeddingService, proxy: Proxy, fragile: Database
) -> None:
    lost: list[object] = []
    async with InferenceEmbeddings(
        service,
        fragile,
        consent=agreed,
        budget_ms=PATIENT_MS,
        flush_seconds=0.2,
        on_lost=lost.append,
    ) as inference:
        await proxy.shut()
        _, embedded = await infer(inference, analytics_id=456)

    assert embedded.instruction.vector is not None
    assert embedded.image.vector is not None
    assert len(lost) == 2


async def test_vectors_are_read_only_since_they_are_yet_to_be_stored(
    service: EmbeddingService, db: Database
) -> None:
    async with InferenceEmbeddings(service, db, budget_ms=PATIENT_MS) as inference:
        _, embedded = await infer(inference)

    assert embedded.instruction.vector is not None
    with pytest.raises(ValueError, match="read-only"):
        embedded.instruction.vector[0] = 1


async def test_a_single_connection_is_refused(service: EmbeddingService, dsn: str) -> None:
    connection = await asyncpg.connect(dsn)

    with pytest.raises(InvalidInput, match="must open connections of its own"):
        InferenceEmbeddings(service, connection)

    await connection.close()


def _queue_depth() -> float:
    return REGISTRY.get_sample_value("embedding_storage_queue_depth") or 0.0


def _outcomes(kind: str, outcome: str) -> float:
    labels = {"kind": kind, "outcome": outcome}
    return REGISTRY.get_sample_value("embedding_inference_outcomes_total", labels) or 0.0
