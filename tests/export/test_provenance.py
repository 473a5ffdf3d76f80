"""An artefact is out of date as soon as the code or a tool that made it changes."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.models.artifacts import copy_of
from vla_embeddings.export import find_current, provenance
from vla_embeddings.models import MINILM, ArtifactStore, Manifest


@pytest.fixture
def manifest(models_dir: Path) -> Manifest:
    return ArtifactStore(models_dir).open(MINILM, "fp32").manifest


def test_what_was_just_exported_is_current(manifest: Manifest) -> None:
    assert provenance.is_current(manifest)


@pytest.mark.parametrize("tool", ["onnx", "onnxruntime", "optimum-onnx", "torch", "transformers"])
def test_another_version_of_a_tool_makes_it_stale(manifest: Manifest, tool: str) -> None:
    changed = replace(manifest, tools={**manifest.tools, tool: "0.0.1"})

    assert not provenance.is_current(changed)


def test_a_changed_export_file_makes_it_stale(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = Path(provenance.__file__).parent
    copy = shutil.copytree(code, tmp_path / "export", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "__file__", str(copy / "provenance.py"))
    store = ArtifactStore(models_dir)
    assert find_current(MINILM, "fp32", store) is not None

    with (copy / "towers.py").open("a") as file:
        file.write("# changed\n")

    assert find_current(MINILM, "fp32", store) is None


def test_a_damaged_artefact_is_not_current(models_dir: Path, tmp_path: Path) -> None:
    copy = copy_of(ArtifactStore(models_dir).open(MINILM, "fp32"), tmp_path)
    copy.tokenizer.unlink()

    assert find_current(MINILM, "fp32", ArtifactStore(tmp_path)) is None
