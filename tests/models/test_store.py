"""An artefact appears whole or not at all, and what is damaged is noticed."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from tests.models.artifacts import MANIFEST_OF_NOTHING, fill
from vla_embeddings.errors import ArtifactDamaged, ModelNotFound
from vla_embeddings.models import MINILM, Artifact, ArtifactStore, find_model
from vla_embeddings.models.store import GRAPH, MANIFEST, TOKENIZER

COMMAND = "vla-embeddings export --model text --precision fp32"

# An exporter that stops half way through, for its parent to kill.
HALF_AN_EXPORT = """
import sys, time
from pathlib import Path
from vla_embeddings.models import MINILM, ArtifactStore
with ArtifactStore(Path(sys.argv[1])).staging(MINILM, "fp32") as folder:
    (folder / "model.onnx").write_text("half a gra")
    print("half way", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "models")


def _export(store: ArtifactStore, graph: str) -> Artifact:
    with store.staging(MINILM, "fp32") as folder:
        fill(folder, graph)
    return store.open(MINILM, "fp32")


def _hidden(store: ArtifactStore) -> list[str]:
    return [path.name for path in (store.root / MINILM.name).iterdir() if path.name != "fp32"]


def test_a_staged_folder_becomes_the_artefact(store: ArtifactStore) -> None:
    artifact = _export(store, "graph")

    artifact.verify()
    assert artifact.folder == store.root / MINILM.name / "fp32"
    assert artifact.graph.read_text() == "graph"
    assert _hidden(store) == [".lock"]


def test_another_user_may_read_the_artefact(store: ArtifactStore) -> None:
    assert _export(store, "graph").folder.stat().st_mode & 0o777 == 0o755


def test_a_new_export_replaces_the_old_one(store: ArtifactStore) -> None:
    _export(store, "old")

    assert _export(store, "new").graph.read_text() == "new"
    assert _hidden(store) == [".lock"]


def test_nothing_is_there_before_the_block_ends(store: ArtifactStore) -> None:
    with store.staging(MINILM, "fp32") as folder:
        fill(folder, "graph")

        with pytest.raises(ModelNotFound):
            store.open(MINILM, "fp32")


def test_an_error_in_the_block_leaves_the_old_artefact(store: ArtifactStore) -> None:
    _export(store, "old")

    with suppress(KeyboardInterrupt), store.staging(MINILM, "fp32") as folder:
        (folder / GRAPH).write_text("half a gra")
        raise KeyboardInterrupt

    store.open(MINILM, "fp32").verify()
    assert store.open(MINILM, "fp32").graph.read_text() == "old"
    assert _hidden(store) == [".lock"]


def test_a_killed_export_leaves_the_old_artefact_and_is_cleaned_up_by_the_next(
    store: ArtifactStore,
) -> None:
    _export(store, "old")
    command = [sys.executable, "-c", HALF_AN_EXPORT, str(store.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "half way\n"
        child.send_signal(signal.SIGKILL)

    store.open(MINILM, "fp32").verify()
    assert any(name.startswith(".staging-") for name in _hidden(store))

    assert _export(store, "new").graph.read_text() == "new"
    assert _hidden(store) == [".lock"]


def test_exporters_at_once_take_turns(store: ArtifactStore) -> None:
    start = Barrier(8)

    def export(number: int) -> None:
        start.wait()
        with store.staging(MINILM, "fp32") as folder:
            fill(folder, f"graph {number}" * 1000)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(export, range(8)))

    store.open(MINILM, "fp32").verify()
    assert _hidden(store) == [".lock"]


def test_an_artefact_that_was_never_made_names_the_command(store: ArtifactStore) -> None:
    with pytest.raises(ModelNotFound, match=COMMAND):
        store.open(MINILM, "fp32")


def test_a_file_in_the_place_of_a_folder_is_no_artefact(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("not a folder")

    with pytest.raises(ModelNotFound, match=COMMAND):
        ArtifactStore(tmp_path / "models").open(MINILM, "fp32")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"{}"], ids=repr)
def test_an_unreadable_manifest_names_the_command(store: ArtifactStore, content: bytes) -> None:
    (_export(store, "graph").folder / MANIFEST).write_bytes(content)

    with pytest.raises(ArtifactDamaged, match=COMMAND):
        store.open(MINILM, "fp32")


def test_a_checkpoint_never_gets_what_another_of_its_name_was_exported_to(
    store: ArtifactStore, tmp_path: Path
) -> None:
    for version in ("v1", "v2"):
        (tmp_path / version / MINILM.name).mkdir(parents=True)
    first, second = (
        find_model(str(tmp_path / version / MINILM.name), "text") for version in ("v1", "v2")
    )
    with store.staging(first, "fp32") as folder:
        fill(folder, "graph", source=str(tmp_path / "v1" / MINILM.name))

    assert store.open(first, "fp32").graph.read_text() == "graph"
    with pytest.raises(ModelNotFound, match=f"instead of {tmp_path}/v2/.*{COMMAND}"):
        store.open(second, "fp32")


def test_a_manifest_of_something_else_names_the_command(store: ArtifactStore) -> None:
    other = replace(MANIFEST_OF_NOTHING, precision="fp16")
    (_export(store, "graph").folder / MANIFEST).write_text(other.to_json())

    with pytest.raises(ArtifactDamaged, match=rf"holds text fp16 instead of text fp32.*{COMMAND}"):
        store.open(MINILM, "fp32")


@pytest.mark.parametrize("name", [GRAPH, TOKENIZER])
def test_a_missing_file_is_named_with_the_command(store: ArtifactStore, name: str) -> None:
    artifact = _export(store, "graph")
    (artifact.folder / name).unlink()

    with pytest.raises(ArtifactDamaged, match=rf"{name} is missing.*{COMMAND}"):
        artifact.verify()


def test_a_truncated_file_is_named_with_both_sizes(store: ArtifactStore) -> None:
    artifact = _export(store, "a graph")
    artifact.graph.write_text("a gra")

    with pytest.raises(ArtifactDamaged, match=rf"5 bytes instead of 7.*{COMMAND}"):
        artifact.verify()


def test_a_single_altered_byte_is_noticed(store: ArtifactStore) -> None:
    artifact = _export(store, "a graph")
    artifact.graph.write_text("a grapH")

    with pytest.raises(ArtifactDamaged, match=rf"another SHA-256.*{COMMAND}"):
        artifact.verify()
