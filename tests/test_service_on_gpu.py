"""On a machine with a GPU, the service runs on the best that was exported and comes up.

No GPU is needed: driver, wheel and session factory are stand-ins.
"""

from pathlib import Path

import numpy as np
import pytest

from tests.models.artifacts import copy_of
from tests.runtime.cuda import CudaRuntime, gpu_machine, with_engines
from vla_embeddings import EmbeddingConfig, EmbeddingService
from vla_embeddings.models import MINILM, ArtifactStore
from vla_embeddings.runtime import TextEncoder
from vla_embeddings.runtime.providers import CUDA, TENSORRT

TEXT = "pick up the red block"


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> CudaRuntime:
    """ONNX Runtime of a machine with a GPU, whose CUDA works."""
    return gpu_machine(monkeypatch)


@pytest.fixture
def fp32_alone(models_dir: Path, tmp_path: Path) -> Path:
    """A folder of models as `vla-embeddings export` makes it by itself."""
    copy_of(ArtifactStore(models_dir).open(MINILM, "fp32"), tmp_path)
    return tmp_path


async def _runs_on(models_dir: Path, expected: TextEncoder) -> tuple[str, str]:
    """Device and precision of a service that was told neither, and gave the right vector."""
    async with EmbeddingService(config=EmbeddingConfig(models_dir=models_dir)) as service:
        vector = await service.get_instruction_embedding(TEXT)
        [loaded] = service.provider_report()
    np.testing.assert_allclose(vector, expected.encode([TEXT])[0], rtol=0, atol=1e-5)
    return loaded.device, loaded.precision


@pytest.mark.usefixtures("runtime")
async def test_models_exported_in_fp32_alone_run_on_the_gpu(
    fp32_alone: Path, text_encoder: TextEncoder
) -> None:
    assert await _runs_on(fp32_alone, text_encoder) == ("cuda", "fp32")


async def test_a_gpu_that_leaves_the_work_to_the_cpu_is_passed_over(
    runtime: CudaRuntime,
    fp32_alone: Path,
    text_encoder: TextEncoder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runtime.leaves = ("MatMul", "Attention")

    assert await _runs_on(fp32_alone, text_encoder) == ("cpu", "fp32")
    assert "Using cpu instead" in caplog.text
    assert "6 Attention" in caplog.text


async def test_where_tensorrt_does_not_come_up_cuda_runs_what_else_was_exported(
    runtime: CudaRuntime,
    models_dir: Path,
    fp32_alone: Path,
    text_encoder: TextEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy_of(ArtifactStore(models_dir).open(MINILM, "fp16-tensorrt"), fp32_alone)
    with_engines(monkeypatch)
    runtime.comes = CUDA

    assert await _runs_on(fp32_alone, text_encoder) == ("cuda", "fp32")
    assert [next(iter(asked)) for asked in runtime.asked] == [TENSORRT, CUDA]
