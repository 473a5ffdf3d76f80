"""The doctor tells what the service would do."""

import asyncio
from pathlib import Path

import pytest
import redis

from tests.cache.servers import fake, forward
from tests.models.artifacts import link_to
from tests.runtime.cuda import CudaRuntime, gpu_machine, with_engines
from tests.runtime.nvidia import Driver
from vla_embeddings import doctor
from vla_embeddings.config import EmbeddingConfig
from vla_embeddings.doctor import Finding, examine
from vla_embeddings.models import CLIP_IMAGE, CLIP_TEXT, MINILM, ArtifactStore
from vla_embeddings.runtime import gpu
from vla_embeddings.runtime.providers import CPU

NO_REDIS = "redis://127.0.0.1:1"


async def _found(config: EmbeddingConfig) -> dict[str, Finding]:
    return {finding.subject: finding for finding in await examine(config)}


async def _device(config: EmbeddingConfig) -> Finding:
    return (await _found(config))["Device"]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> CudaRuntime:
    """A machine whose wheel and driver have CUDA and TensorRT."""
    made = gpu_machine(monkeypatch)
    monkeypatch.setattr(doctor, "onnxruntime", lambda: made)
    return made


@pytest.mark.usefixtures("runtime")
async def test_each_models_own_device_and_precision_are_told(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MiniLM has an engine here; CLIP's towers were exported in fp32 alone."""
    with_engines(monkeypatch)
    store = ArtifactStore(models_dir)
    link_to(store.open(MINILM, "fp16-tensorrt"), tmp_path)
    for model in (CLIP_IMAGE, CLIP_TEXT):
        link_to(store.open(model, "fp32"), tmp_path)

    findings = await _found(EmbeddingConfig(models_dir=tmp_path, redis_url=NO_REDIS))

    assert (findings["CUDA"].state, findings["Tensorrt"].state) == ("ok", "ok")
    found = findings["Device"]
    assert found.state == "ok"
    assert found.detail == (
        "auto means tensorrt, fp16-tensorrt for all-MiniLM-L6-v2; "
        "cuda, fp32 for clip-vit-base-patch32 and clip-vit-base-patch32-text"
    )


async def test_a_provider_that_does_not_come_up_is_told_and_not_counted_on(
    runtime: CudaRuntime, models_dir: Path
) -> None:
    """Wheel and driver are there, the libraries of CUDA are not."""
    runtime.fails = "libcublasLt.so.13: cannot open shared object file"

    findings = await _found(EmbeddingConfig(models_dir=models_dir, redis_url=NO_REDIS))

    for subject in ("CUDA", "Tensorrt"):
        assert findings[subject].state == "note"
        assert "libcublasLt.so.13" in findings[subject].detail
    assert findings["Device"].detail.startswith("auto means cpu, fp32 for all-MiniLM-L6-v2")


async def test_a_provider_that_was_asked_for_and_does_not_come_up_is_broken(
    runtime: CudaRuntime, tmp_path: Path
) -> None:
    runtime.comes = CPU

    findings = await _found(
        EmbeddingConfig(models_dir=tmp_path, device="cuda", redis_url=NO_REDIS)
    )

    assert (findings["CUDA"].state, findings["Tensorrt"].state) == ("broken", "note")


async def test_a_device_without_models_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "_load_driver", lambda: Driver(gpus=0))

    found = await _device(EmbeddingConfig(models_dir=tmp_path, redis_url=NO_REDIS))

    assert (found.state, found.detail) == (
        "ok",
        "auto means cpu, and no model was exported for it",
    )


@pytest.mark.usefixtures("runtime")
async def test_a_precision_that_the_device_does_not_run_is_broken(
    models_dir: Path,
) -> None:
    config = EmbeddingConfig(
        models_dir=models_dir, device="cuda", precision="int8", redis_url=NO_REDIS
    )

    found = await _device(config)

    assert found.state == "broken"
    assert "its graphs are for CPUs" in found.detail


async def test_a_redis_that_is_slow_to_connect_to_is_found(redis_url: str, tmp_path: Path) -> None:
    async def slow_to_greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        await forward(redis_url, reader, writer)

    async with fake(slow_to_greet) as place:
        config = EmbeddingConfig(models_dir=tmp_path, redis_url=f"redis://{place}")
        assert (await _found(config))["Redis"].state == "ok"


async def test_no_key_of_redis_is_looked_at(redis_url: str, tmp_path: Path) -> None:
    """A walk over all keys of a large one would take longer than it is given."""
    with redis.Redis.from_url(redis_url) as client:
        client.config_resetstat()

        found = await _found(EmbeddingConfig(models_dir=tmp_path, redis_url=redis_url))

        assert found["Redis"].state == "ok"
        assert "cmdstat_info" in client.info("commandstats")
        assert "cmdstat_scan" not in client.info("commandstats")


async def test_a_redis_that_never_answers_is_one_that_the_service_goes_without(
    tmp_path: Path,
) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with fake(silence) as place:
        config = EmbeddingConfig(models_dir=tmp_path, redis_url=f"redis://{place}")
        assert (await _found(config))["Redis"].state == "note"
