"""Auto takes TensorRT only where an engine waits; nobody waits for an engine."""

from pathlib import Path

import pytest

from vla_embeddings.config import Device, PrecisionSetting
from vla_embeddings.errors import ModelNotFound, ProviderUnavailable
from vla_embeddings.models import CLIP_TEXT, MINILM, ArtifactStore
from vla_embeddings.runtime import ProviderChoice, selection
from vla_embeddings.runtime.engines import Platform
from vla_embeddings.runtime.providers import CPU, CUDA, TENSORRT
from vla_embeddings.runtime.selection import select

PLATFORM = Platform("1.31.1", "10.13.3", "580.65.06", "NVIDIA H100", "9.0")
CHOICES: dict[Device, ProviderChoice] = {
    "auto": ProviderChoice("cuda", (CUDA, CPU)),
    "cuda": ProviderChoice("cuda", (CUDA, CPU)),
    "tensorrt": ProviderChoice("tensorrt", (TENSORRT, CUDA, CPU)),
}


@pytest.fixture(autouse=True)
def _gpu_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has every provider, and no engine."""
    monkeypatch.setattr(selection, "choose_providers", CHOICES.__getitem__)
    monkeypatch.setattr(selection, "this_platform", lambda: PLATFORM)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An engine of every artefact."""
    monkeypatch.setattr(selection, "find_engine", lambda artifact, platform: tmp_path / "e")
    return tmp_path / "e"


@pytest.mark.parametrize("precision", ["auto", "fp16"])
def test_auto_is_tensorrt_where_an_engine_was_built(
    models_dir: Path, engine: Path, precision: PrecisionSetting
) -> None:
    artifact, choice = select(MINILM, ArtifactStore(models_dir), "auto", precision)

    assert artifact.manifest.precision == "fp16-tensorrt"
    assert (choice.device, choice.engine) == ("tensorrt", engine)


def test_auto_is_cuda_where_none_was_built(models_dir: Path) -> None:
    artifact, choice = select(MINILM, ArtifactStore(models_dir), "auto", "auto")

    assert artifact.manifest.precision == "fp16"
    assert (choice.device, choice.engine) == ("cuda", None)


@pytest.mark.usefixtures("engine")
def test_auto_keeps_a_precision_that_tensorrt_does_not_run(models_dir: Path) -> None:
    artifact, choice = select(MINILM, ArtifactStore(models_dir), "auto", "fp32")

    assert artifact.manifest.precision == "fp32"
    assert choice.device == "cuda"


def test_auto_is_cuda_where_tensorrt_is_not_installed(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without() -> Platform:
        raise ProviderUnavailable("no TensorRT")

    monkeypatch.setattr(selection, "this_platform", without)

    assert select(MINILM, ArtifactStore(models_dir), "auto", "auto")[1].device == "cuda"


def test_tensorrt_asked_for_by_name_without_an_engine_names_the_command(models_dir: Path) -> None:
    with pytest.raises(
        ProviderUnavailable, match=r"no engine.*vla-embeddings export --model text --tensorrt"
    ):
        select(MINILM, ArtifactStore(models_dir), "tensorrt", "auto")


def test_tensorrt_asked_for_by_name_without_its_graph_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="vla-embeddings export --model clip-text --tensorrt"):
        select(CLIP_TEXT, ArtifactStore(tmp_path), "tensorrt", "auto")


def test_without_tensorrts_library_its_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine, which has none."""
    monkeypatch.undo()

    with pytest.raises(ProviderUnavailable, match=r"pip install 'vla-embeddings\[tensorrt\]'"):
        selection.this_platform()
