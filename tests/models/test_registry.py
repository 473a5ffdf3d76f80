"""A model is found by its name, its hub id, or the folder of one's own checkpoint."""

from pathlib import Path

import pytest

from vla_embeddings.errors import ModelNotFound
from vla_embeddings.models import CLIP_IMAGE, CLIP_TEXT, MINILM, MODELS, Kind, Model, find_model


@pytest.mark.parametrize(
    ("name", "kind", "model"),
    [
        ("all-MiniLM-L6-v2", "text", MINILM),
        ("sentence-transformers/all-MiniLM-L6-v2", "text", MINILM),
        ("clip-vit-base-patch32", "image", CLIP_IMAGE),
        ("openai/clip-vit-base-patch32", "image", CLIP_IMAGE),
        ("clip-vit-base-patch32", "clip-text", CLIP_TEXT),
        ("openai/clip-vit-base-patch32", "clip-text", CLIP_TEXT),
        ("clip-vit-base-patch32-text", "clip-text", CLIP_TEXT),
    ],
)
def test_a_name_or_hub_id_finds_the_row(name: str, kind: Kind, model: Model) -> None:
    assert find_model(name, kind) is model


@pytest.mark.parametrize(
    ("kind", "name"),
    [("text", "my-model"), ("image", "my-model"), ("clip-text", "my-model-text")],
)
def test_a_folder_is_a_checkpoint_of_the_same_architecture(
    kind: Kind, name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()

    model = find_model(str(folder), kind)

    published = next(row for row in MODELS if row.kind == kind)
    assert (model.name, model.local_checkpoint) == (name, folder)
    assert (model.dimension, model.max_tokens) == (published.dimension, published.max_tokens)


def test_a_folder_may_be_given_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my-model").mkdir()

    assert find_model("~/my-model", "text").local_checkpoint == tmp_path / "my-model"


@pytest.mark.parametrize("name", ["all-MiniLM-L12-v2", "no/such/folder", "~nobody-here/model"])
def test_an_unknown_name_is_told_what_is_known(name: str) -> None:
    with pytest.raises(ModelNotFound, match=r"all-MiniLM-L6-v2.*folder of a local checkpoint"):
        find_model(name, "text")


def test_a_models_name_does_not_find_a_model_of_another_kind() -> None:
    with pytest.raises(ModelNotFound, match=r"No image model 'all-MiniLM-L6-v2'"):
        find_model("all-MiniLM-L6-v2", "image")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_checkpoint_is_pinned_by_revision_and_digest(model: Model) -> None:
    assert len(model.checkpoint.revision) == 40
    assert len(model.checkpoint.weights_sha256) == 64


def test_the_command_that_makes_an_artefact_names_kind_and_precision() -> None:
    assert MINILM.command() == "vla-embeddings export --model text"
    assert CLIP_TEXT.command(precision="fp16") == (
        "vla-embeddings export --model clip-text --precision fp16"
    )
