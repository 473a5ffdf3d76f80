"""Auto takes the best that was exported; TensorRT only where an engine waits."""

from pathlib import Path

import pytest

from tests.models.artifacts import copy_of, fill
from tests.runtime.nvidia import GPU_WHEEL, Driver, fake_ort
from vla_embeddings.config import Device, PrecisionSetting
from vla_embeddings.errors import ConfigurationError, ModelNotFound, ProviderUnavailable
from vla_embeddings.models import CLIP_TEXT, MINILM, Artifact, ArtifactStore
from vla_embeddings.runtime import CPU_CHOICE, ProviderChoice, gpu, selection
from vla_embeddings.runtime.engines import Platform
from vla_embeddings.runtime.providers import CPU, CUDA, TENSORRT
from vla_embeddings.runtime.selection import select

PLATFORM = Platform("1.31.1", "10.13.3", "580.65.06", "13.0", "NVIDIA H100", "9.0", 132)
CHOICES: dict[Device, ProviderChoice] = {
    "auto": ProviderChoice("cuda", (CUDA, CPU)),
    "cpu": CPU_CHOICE,
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


@pytest.fixture
def fp32_alone(minilm: Artifact, tmp_path: Path) -> ArtifactStore:
    """A store as `vla-embeddings export` makes it by itself."""
    copy_of(minilm, tmp_path)
    return ArtifactStore(tmp_path)


def test_auto_runs_fp32_on_cuda_where_nothing_else_was_exported_and_says_why(
    fp32_alone: ArtifactStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "vla_embeddings")

    artifact, choice = select(MINILM, fp32_alone, "auto", "auto")

    assert artifact.manifest.precision == "fp32"
    assert choice.device == "cuda"
    assert "all-MiniLM-L6-v2: cuda in fp32. No fp16-tensorrt artefact" in caplog.text
    assert "No fp16 artefact" in caplog.text
    assert "vla-embeddings export --model text --precision fp16" in caplog.text


@pytest.mark.parametrize(("device", "precision"), [("cuda", "auto"), ("auto", "fp16")])
def test_a_device_or_precision_asked_for_by_name_is_not_replaced(
    fp32_alone: ArtifactStore, device: Device, precision: PrecisionSetting
) -> None:
    with pytest.raises(ModelNotFound, match="No fp16 artefact"):
        select(MINILM, fp32_alone, device, precision)


def test_where_nothing_was_exported_auto_names_the_best_for_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"No fp16 artefact.*--precision fp16"):
        select(MINILM, ArtifactStore(tmp_path), "auto", "auto")


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("failed", "device", "precision"),
    [
        (["tensorrt"], "cuda", "fp16"),
        (["cuda"], "cpu", "fp32"),
        (["tensorrt", "cuda"], "cpu", "fp32"),
    ],
)
def test_auto_passes_over_what_turned_out_not_to_work(
    models_dir: Path, failed: list[Device], device: Device, precision: str
) -> None:
    artifact, choice = select(MINILM, ArtifactStore(models_dir), "auto", "auto", failed)

    assert (choice.device, artifact.manifest.precision) == (device, precision)


@pytest.mark.usefixtures("engine")
def test_int8_under_auto_means_the_cpu(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    with store.staging(MINILM, "int8") as folder:
        fill(folder, graph="a graph", precision="int8")

    artifact, choice = select(MINILM, store, "auto", "int8")

    assert (choice.device, artifact.manifest.precision) == ("cpu", "int8")


def test_int8_is_not_run_on_a_gpu(models_dir: Path) -> None:
    with pytest.raises(ConfigurationError, match="precision='int8': its graphs are for CPUs"):
        select(MINILM, ArtifactStore(models_dir), "cuda", "int8")


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


def test_a_machine_is_known_by_all_that_its_engines_depend_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(gpu, "_load_driver", Driver)
    monkeypatch.setattr(selection, "onnxruntime", lambda: fake_ort(GPU_WHEEL))
    monkeypatch.setattr(selection, "load_libraries", lambda ort: None)
    monkeypatch.setattr(selection, "tensorrt_version", lambda: "10.13.3")

    assert selection.this_platform() == Platform(
        onnxruntime="1.31.1",
        tensorrt="10.13.3",
        driver=gpu._driver_version(),
        cuda="13.2",
        gpu="NVIDIA Test GPU",
        compute_capability="9.1",
        multiprocessors=132,
    )


def test_without_tensorrts_library_its_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine, which has none."""
    monkeypatch.undo()

    with pytest.raises(ProviderUnavailable, match=r"pip install 'vla-embeddings\[tensorrt\]'"):
        selection.this_platform()
