"""An engine is used where it was built, for the graph it was built of, and nowhere else."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.models.artifacts import fill
from vla_embeddings.models import MINILM, Artifact, ArtifactStore, FileRecord, Parity
from vla_embeddings.models.store import GRAPH, sha256_of
from vla_embeddings.runtime import gpu_options
from vla_embeddings.runtime.engines import (
    ENGINE,
    RECORD,
    EngineRecord,
    Platform,
    engine_folder,
    find_engine,
)

HERE = Platform("1.31.1", "10.13.3", "580.65.06", "13.0", "NVIDIA H100", "9.0", 132)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    """An artefact of no real graph."""
    store = ArtifactStore(tmp_path)
    with store.staging(MINILM, "fp32") as folder:
        fill(folder, graph="a graph")
    return store.open(MINILM, "fp32")


def _build(artifact: Artifact, platform: Platform = HERE) -> Path:
    folder = engine_folder(artifact, platform)
    folder.mkdir(parents=True)
    (folder / ENGINE).write_bytes(b"an engine")
    record = EngineRecord(
        platform=platform,
        graph=artifact.manifest.graph_sha256,
        file=FileRecord(9, sha256_of(folder / ENGINE)),
        parity=Parity(1, 0.0, 1.0),
        seconds=1.0,
    )
    (folder / RECORD).write_text(record.to_json())
    return folder


def test_a_whole_engine_is_found(artifact: Artifact) -> None:
    folder = _build(artifact)

    assert find_engine(artifact, HERE) == folder / ENGINE


@pytest.mark.parametrize("part", list(asdict(HERE)))
def test_another_version_driver_or_gpu_needs_another_engine(artifact: Artifact, part: str) -> None:
    _build(artifact)
    elsewhere = Platform(**{**asdict(HERE), part: "99.0"})

    assert elsewhere.key != HERE.key
    assert find_engine(artifact, elsewhere) is None


def test_another_graph_needs_another_engine(artifact: Artifact) -> None:
    _build(artifact)
    files = {**artifact.manifest.files, GRAPH: FileRecord(7, "f" * 64)}
    exported_again = replace(artifact, manifest=replace(artifact.manifest, files=files))

    assert find_engine(exported_again, HERE) is None


def test_other_shapes_need_another_engine(artifact: Artifact) -> None:
    shorter = replace(artifact, manifest=replace(artifact.manifest, max_tokens=128))

    assert engine_folder(shorter, HERE) != engine_folder(artifact, HERE)


def test_other_build_options_need_another_engine(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = engine_folder(artifact, HERE)
    monkeypatch.setattr(gpu_options, "WORKSPACE_BYTES", 2 << 30)

    assert engine_folder(artifact, HERE) != before


def test_where_a_container_hides_the_drivers_version_an_update_shows_in_its_cuda(
    artifact: Artifact,
) -> None:
    hidden = replace(HERE, driver="unknown")
    _build(artifact, hidden)

    assert find_engine(artifact, hidden) is not None
    assert find_engine(artifact, replace(hidden, cuda="13.2")) is None


@pytest.mark.parametrize("content", [b"an engin", b"another e", b""], ids=repr)
def test_an_engine_that_was_changed_is_not_loaded(artifact: Artifact, content: bytes) -> None:
    (_build(artifact) / ENGINE).write_bytes(content)

    assert find_engine(artifact, HERE) is None


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"platform": 3}'], ids=repr)
def test_a_record_that_is_none_counts_as_no_engine(artifact: Artifact, content: str) -> None:
    (_build(artifact) / RECORD).write_text(content)

    assert find_engine(artifact, HERE) is None


def test_a_build_that_was_interrupted_counts_as_no_engine(artifact: Artifact) -> None:
    (_build(artifact) / RECORD).unlink()

    assert find_engine(artifact, HERE) is None


def test_a_record_copied_from_another_machine_is_not_believed(artifact: Artifact) -> None:
    other = replace(HERE, gpu="NVIDIA T4")
    copied = _build(artifact, other)
    copied.parent.rename(copied.parents[1] / HERE.key)

    assert find_engine(artifact, HERE) is None
