"""A models folder that cannot be written or read is told before the work, with the cure."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.models.artifacts import fill
from vla_embeddings.errors import ArtifactDamaged, ModelNotFound, NotWritable
from vla_embeddings.models import MINILM, ArtifactStore
from vla_embeddings.models.store import GRAPH
from vla_embeddings.models.writing import writing

NOBODY = 65534


@contextmanager
def _as_ordinary_user() -> Iterator[None]:
    """Permission bits do not bind root, so root becomes nobody."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _stage(store: ArtifactStore) -> None:
    with store.staging(MINILM, "fp32") as stage:
        fill(stage, "graph")


def _require(store: ArtifactStore) -> None:
    store.require_writable(MINILM)


@pytest.mark.parametrize("act", [_require, _stage])
@pytest.mark.parametrize("root", [".", "models/of/mine"])
def test_a_folder_without_permission_is_named_with_the_user_and_the_cure(
    folder: Path, root: str, act: Callable[[ArtifactStore], None]
) -> None:
    folder.chmod(0o555)

    with _as_ordinary_user(), pytest.raises(NotWritable) as caught:
        act(ArtifactStore(folder / root))

    place = folder / root / MINILM.name
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    assert f"{place} cannot be written by uid {user}: " in str(caught.value)
    assert "Permission denied" in str(caught.value)
    assert "--output or EMBEDDING_MODELS_DIR" in str(caught.value)


@pytest.mark.parametrize("act", [_require, _stage])
def test_a_file_in_the_place_of_the_models_folder_is_named(
    tmp_path: Path, act: Callable[[ArtifactStore], None]
) -> None:
    (tmp_path / MINILM.name).write_text("not a folder")

    with pytest.raises(NotWritable, match=f"{tmp_path / MINILM.name} cannot be written"):
        act(ArtifactStore(tmp_path))


def test_to_ask_whether_a_folder_is_writable_leaves_nothing_there(tmp_path: Path) -> None:
    _require(ArtifactStore(tmp_path / "models" / "of" / "mine"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has a disk always full")
def test_a_full_disk_leaves_the_old_artefact_and_says_so(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    _stage(store)

    def export() -> None:
        with store.staging(MINILM, "fp32") as stage:
            (stage / GRAPH).symlink_to("/dev/full")
            (stage / GRAPH).write_text("a graph")

    with pytest.raises(NotWritable, match=r"No space left on device.* Make room"):
        export()

    store.open(MINILM, "fp32").verify()
    assert {path.name for path in (tmp_path / MINILM.name).iterdir()} == {".lock", "fp32"}


def test_a_fault_that_is_not_the_folders_stays_what_it_is(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match=r"traced\.onnx"),
        ArtifactStore(tmp_path).staging(MINILM, "fp32"),
    ):
        (tmp_path / "traced.onnx").read_bytes()


def test_an_error_of_ours_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no weights"), writing(tmp_path):
        raise ModelNotFound("no weights")


def test_a_file_without_permission_to_read_is_named_with_the_user_and_the_cure(
    folder: Path,
) -> None:
    store = ArtifactStore(folder)
    _stage(store)
    artifact = store.open(MINILM, "fp32")
    artifact.graph.chmod(0)

    with (
        _as_ordinary_user(),
        pytest.raises(ArtifactDamaged, match=rf"{GRAPH} cannot be read by uid \d+: .*Permission"),
    ):
        artifact.verify()
