"""`vla-embeddings export`: where models go, and what they are made from."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.models.artifacts import link_to
from vla_embeddings.cli.app import app
from vla_embeddings.errors import NotWritable
from vla_embeddings.models import MINILM, MODELS, ArtifactStore


@pytest.mark.parametrize("place", ["file", "file/models"])
def test_a_place_that_cannot_be_a_folder_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")

    answer = CliRunner().invoke(app, ["export", "--output", str(tmp_path / place)])

    assert isinstance(answer.exception, NotWritable)
    assert f"{tmp_path / place / MINILM.name} cannot be written" in str(answer.exception)
    assert "--output" in str(answer.exception)


def test_untrained_means_clips_towers_beside_minilm_with_its_own_weights(
    models_dir: Path, tmp_path: Path
) -> None:
    for model in MODELS:
        link_to(ArtifactStore(models_dir).open(model, "fp32"), tmp_path)

    answer = CliRunner().invoke(
        app, ["export", "--untrained", "--json", "--output", str(tmp_path)]
    )

    assert [(row["kind"], row["weights"]) for row in json.loads(answer.stdout)] == [
        ("text", "trained"),
        ("image", "untrained"),
        ("clip-text", "untrained"),
    ]
