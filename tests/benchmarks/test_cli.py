"""`vla-embeddings bench`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.models.artifacts import link_to
from tests.runtime.cuda import gpu_machine, with_engines
from tests.runtime.nvidia import Driver
from vla_embeddings.cli import bench
from vla_embeddings.config import Device, EmbeddingConfig
from vla_embeddings.models import CLIP_IMAGE, MINILM, ArtifactStore, Precision
from vla_embeddings.runtime import available_cpus, gpu
from vla_embeddings.runtime.cpu import find_cpu
from vla_embeddings.runtime.providers import CUDA


@pytest.fixture(autouse=True)
def _few_calls_without_a_gpu(monkeypatch: pytest.MonkeyPatch, models_dir: Path) -> None:
    monkeypatch.setattr(gpu, "_load_driver", lambda: Driver(gpus=0))
    monkeypatch.setattr(
        "vla_embeddings.cli.bench.embedding_config", EmbeddingConfig(models_dir=models_dir)
    )
    monkeypatch.setattr("vla_embeddings.latency.CALLS", {"text": 3, "image": 2})
    monkeypatch.setattr("vla_embeddings.latency.WARM_UP", 1)


def test_bench_latency_prints_the_documents_table_as_json() -> None:
    answer = CliRunner().invoke(bench.app, ["latency", "--json"])
    rows = json.loads(answer.stdout)
    found = {(row["model"], row["dimension"], row["document_ms"]) for row in rows}
    assert found == {("all-MiniLM-L6-v2", 384, 15), ("clip-vit-base-patch32", 512, 50)}
    assert all(0 < row["p50_ms"] <= row["p90_ms"] for row in rows)
    machine = {"cpu": find_cpu().name, "cpus": available_cpus(), "gpu": None}
    assert all(row["machine"] == machine for row in rows)


def test_bench_latency_measures_what_the_service_runs_on_a_gpu(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text model has an engine here, the image model was exported in fp32 alone."""
    gpu_machine(monkeypatch)
    with_engines(monkeypatch)
    store, config = ArtifactStore(models_dir), EmbeddingConfig(models_dir=tmp_path)
    monkeypatch.setattr("vla_embeddings.cli.bench.embedding_config", config)
    for artifact in (
        store.open(MINILM, "fp32"),
        store.open(MINILM, "fp16-tensorrt"),
        store.open(CLIP_IMAGE, "fp32"),
    ):
        link_to(artifact, tmp_path)

    answer = CliRunner().invoke(bench.app, ["latency", "--json"])

    rows = json.loads(answer.stdout)
    assert [(row["kind"], row["device"], row["precision"]) for row in rows] == [
        ("text", "cpu", "fp32"),
        ("image", "cpu", "fp32"),
        ("text", "tensorrt", "fp16-tensorrt"),
        ("image", "cuda", "fp32"),
    ]
    assert all(row["machine"]["gpu"].startswith("NVIDIA Test GPU, driver ") for row in rows)


def test_bench_latency_goes_on_where_auto_turns_to_and_says_why(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT does not come up here, CUDA does."""
    runtime = gpu_machine(monkeypatch)
    with_engines(monkeypatch)
    runtime.comes = CUDA
    store, config = ArtifactStore(models_dir), EmbeddingConfig(models_dir=tmp_path)
    monkeypatch.setattr("vla_embeddings.cli.bench.embedding_config", config)
    precisions: tuple[Precision, ...] = ("fp32", "fp16-tensorrt")
    for precision in precisions:
        link_to(store.open(MINILM, precision), tmp_path)

    answer = CliRunner().invoke(bench.app, ["latency", "--json"])

    assert answer.exit_code == 1
    cpu, tensorrt, cuda = json.loads(answer.stdout)
    assert (cpu["device"], cuda["device"], cuda["precision"]) == ("cpu", "cuda", "fp32")
    assert "TensorrtExecutionProvider did not start" in tensorrt["error"]
    assert min(cpu["p50_ms"], cuda["p50_ms"]) > 0


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_bench_latency_shows_what_it_measured_where_cuda_cannot_be_loaded(
    device: Device, models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu_machine(monkeypatch).fails = "libcublasLt.so.13: cannot open shared object file"
    config = EmbeddingConfig(models_dir=tmp_path, device=device)
    monkeypatch.setattr("vla_embeddings.cli.bench.embedding_config", config)
    link_to(ArtifactStore(models_dir).open(MINILM, "fp32"), tmp_path)

    answer = CliRunner().invoke(bench.app, ["latency"])

    assert answer.exit_code == 1
    assert answer.stdout.count("p50 ") == 1
    told = " ".join(answer.stdout.split())
    assert "not measured all-MiniLM-L6-v2 fp32 on cuda: " in told
    assert "libcublasLt.so.13" in told


def test_bench_latency_prints_a_table_and_calls_untrained_weights_so() -> None:
    answer = CliRunner().invoke(bench.app, ["latency"])
    assert answer.exit_code == 0
    assert "384" in answer.stdout
    assert "no GPU" in answer.stdout
    assert "not measured" in answer.stdout
    assert all(f"document ~{figure} ms" in answer.stdout for figure in (3, 8, 15, 50))
