"""The doctor tells what the service would do."""

from pathlib import Path

import pytest

from tests.models.artifacts import link_to
from tests.runtime.cuda import gpu_machine, with_engines
from tests.runtime.nvidia import Driver
from vla_embeddings.config import EmbeddingConfig
from vla_embeddings.doctor import Finding, examine
from vla_embeddings.models import CLIP_IMAGE, CLIP_TEXT, MINILM, ArtifactStore
from vla_embeddings.runtime import gpu

NO_REDIS = "redis://127.0.0.1:1"


async def _device(config: EmbeddingConfig) -> Finding:
    findings = await examine(config)
    return next(finding for finding in findings if finding.subject == "Device")


async def test_each_models_own_device_and_precision_are_told(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MiniLM has an engine here; CLIP's towers were exported in fp32 alone."""
    gpu_machine(monkeypatch)
    with_engines(monkeypatch)
    store = ArtifactStore(models_dir)
    link_to(store.open(MINILM, "fp16-tensorrt"), tmp_path)
    for model in (CLIP_IMAGE, CLIP_TEXT):
        link_to(store.open(model, "fp32"), tmp_path)

    found = await _device(EmbeddingConfig(models_dir=tmp_path, redis_url=NO_REDIS))

    assert found.state == "ok"
    assert found.detail == (
        "auto means tensorrt, fp16-tensorrt for all-MiniLM-L6-v2; "
        "cuda, fp32 for clip-vit-base-patch32 and clip-vit-base-patch32-text"
    )


async def test_a_device_without_models_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "_load_driver", lambda: Driver(gpus=0))

    found = await _device(EmbeddingConfig(models_dir=tmp_path, redis_url=NO_REDIS))

    assert (found.state, found.detail) == (
        "ok",
        "auto means cpu, and no model was exported for it",
    )


async def test_a_precision_that_the_device_does_not_run_is_broken(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu_machine(monkeypatch)
    config = EmbeddingConfig(
        models_dir=models_dir, device="cuda", precision="int8", redis_url=NO_REDIS
    )

    found = await _device(config)

    assert found.state == "broken"
    assert "its graphs are for CPUs" in found.detail
