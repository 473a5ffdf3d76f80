"""Engines are built once, proven, and kept only whole. The session factory is replaced."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.models.artifacts import copy_of
from vla_embeddings.errors import ExportError, NotWritable, ParityError
from vla_embeddings.export import engines
from vla_embeddings.export.engines import Engine, ensure_engine
from vla_embeddings.models import MINILM, Artifact, ArtifactStore, Parity
from vla_embeddings.runtime import ProviderChoice
from vla_embeddings.runtime.engines import ENGINE, ENGINES, Platform, find_engine
from vla_embeddings.runtime.providers import CPU, CUDA, TENSORRT

PLATFORM = Platform("1.31.1", "10.13.3", "580.65.06", "13.0", "NVIDIA H100", "9.0", 132)


@pytest.fixture
def artifact(models_dir: Path, tmp_path: Path) -> Artifact:
    """MiniLM for TensorRT, in a store of its own."""
    return copy_of(ArtifactStore(models_dir).open(MINILM, "fp16-tensorrt"), tmp_path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """A GPU machine whose TensorRT writes an engine; what it was asked, build by build."""
    options: list[dict[str, str]] = []

    def build(ort: Any, graph: str, _: Any, choice: ProviderChoice, wanted: Any) -> Any:
        options.append(dict(wanted))
        Path(wanted["trt_ep_context_file_path"]).write_bytes(b"compiled " + graph.encode())
        return SimpleNamespace()

    choice = ProviderChoice("tensorrt", (TENSORRT, CUDA, CPU))
    monkeypatch.setattr(engines, "choose_providers", lambda device: choice)
    monkeypatch.setattr(engines, "this_platform", lambda: PLATFORM)
    monkeypatch.setattr(engines, "create", build)
    monkeypatch.setattr(engines, "verify", lambda artifact, choice: Parity(137, 1e-4, 0.9999))
    return options


def _left(artifact: Artifact) -> list[Path]:
    root = artifact.folder.parents[1] / ENGINES / PLATFORM.key
    return [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]


def test_an_engine_is_built_once(artifact: Artifact, asked: list[dict[str, str]]) -> None:
    first, second = ensure_engine(artifact), ensure_engine(artifact)

    assert (first.status, second.status) == ("built", "up to date")
    assert first.detail == second.detail == str(find_engine(artifact, PLATFORM))
    assert len(asked) == 1


def test_an_engine_is_built_again_where_that_is_forced(
    artifact: Artifact, asked: list[dict[str, str]]
) -> None:
    first, second = ensure_engine(artifact), ensure_engine(artifact, force=True)

    assert (first.status, second.status) == ("built", "built")
    assert second.detail == str(find_engine(artifact, PLATFORM))
    assert len(asked) == 2


@pytest.mark.usefixtures("asked")
def test_a_folder_of_engines_that_cannot_be_written_is_named(artifact: Artifact) -> None:
    engines_folder = artifact.folder.parents[1] / ENGINES
    engines_folder.write_text("not a folder")

    with pytest.raises(NotWritable, match=f"{engines_folder}/.* cannot be written"):
        ensure_engine(artifact)


def test_timings_are_shared_by_the_models_of_a_machine(
    artifact: Artifact, asked: list[dict[str, str]]
) -> None:
    ensure_engine(artifact)

    [options] = asked
    timings = Path(options["trt_timing_cache_path"])
    assert timings.is_dir()
    assert timings.parent.name == PLATFORM.key


@pytest.mark.parametrize(("force", "builds"), [(False, 1), (True, 2)])
def test_two_that_build_at_once_take_turns_and_the_second_finds_what_the_first_built(
    artifact: Artifact,
    asked: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    force: bool,
    builds: int,
) -> None:
    """Unless it was told to build anew."""
    turn, first_proves, together = threading.Lock(), threading.Event(), threading.Event()

    def prove(artifact: Artifact, choice: ProviderChoice) -> Parity:
        first_proves.set()
        if not turn.acquire(blocking=False):
            together.set()
        together.wait(0.5)  # as long as the other could build at the same time
        turn.release()
        return Parity(137, 1e-4, 0.9999)

    monkeypatch.setattr(engines, "verify", prove)
    found: list[Engine] = []
    first, second = (
        threading.Thread(target=lambda: found.append(ensure_engine(artifact, force=force)))
        for _ in range(2)
    )
    first.start()
    assert first_proves.wait(10)
    second.start()
    first.join(10)
    second.join(10)

    assert not together.is_set()
    assert len(found) == 2
    assert {engine.detail for engine in found} == {str(find_engine(artifact, PLATFORM))}
    assert len(asked) == builds


@pytest.mark.usefixtures("asked")
def test_what_a_build_left_that_was_killed_is_removed(artifact: Artifact) -> None:
    left = artifact.folder.parents[1] / ENGINES / PLATFORM.key / ".staging-1234"
    left.mkdir(parents=True)
    (left / ENGINE).write_bytes(b"half an engine")

    ensure_engine(artifact)

    assert not left.exists()


@pytest.mark.usefixtures("asked")
def test_an_engine_whose_vectors_are_not_pytorchs_is_not_kept(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs(artifact: Artifact, choice: ProviderChoice) -> Parity:
        assert choice.engine is not None
        assert choice.engine.name == ENGINE
        raise ParityError("it differs")

    monkeypatch.setattr(engines, "verify", differs)

    with pytest.raises(ParityError):
        ensure_engine(artifact)

    assert _left(artifact) == []


@pytest.mark.usefixtures("asked")
def test_a_graph_that_tensorrt_takes_in_part_has_no_engine(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = SimpleNamespace(op_type="ArgMax")
    part = SimpleNamespace(ep_name=CUDA, get_nodes=lambda: [node])
    session = SimpleNamespace(get_provider_graph_assignment_info=lambda: [part])
    monkeypatch.setattr(engines, "create", lambda *_: session)

    with pytest.raises(ExportError, match=r"did not take all.*ArgMax.*device='cuda'"):
        ensure_engine(artifact)

    assert _left(artifact) == []


def test_without_a_gpu_nothing_is_built_and_the_reason_is_given(artifact: Artifact) -> None:
    """On this machine, whose ONNX Runtime is the CPU's."""
    engine = ensure_engine(artifact)

    assert engine.status == "not built"
    assert "pip install 'vla-embeddings[tensorrt]'" in engine.detail
    assert _left(artifact) == []
