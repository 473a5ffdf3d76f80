"""The PyTorch models that exports are made from, loaded once."""

from pathlib import Path
from types import ModuleType

import pytest
from huggingface_hub import constants

from vla_embeddings.export.checkpoints import Source, find_source, untrained_source
from vla_embeddings.export.graphs import export_graph
from vla_embeddings.export.references import Reference, load_reference
from vla_embeddings.models import CLIP_IMAGE, CLIP_TEXT, MINILM, Artifact, ArtifactStore, Model


@pytest.fixture(scope="session")
def minilm_source() -> Source:
    """MiniLM's checkpoint."""
    return find_source(MINILM)


@pytest.fixture(scope="session")
def minilm(minilm_source: Source) -> Reference:
    """MiniLM in PyTorch."""
    return load_reference(MINILM, minilm_source)


@pytest.fixture(scope="session")
def plain_minilm(minilm: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MiniLM's graph before any fusion."""
    path = tmp_path_factory.mktemp("minilm") / "plain.onnx"
    export_graph(minilm.tower, MINILM, path)
    return path


@pytest.fixture(scope="session")
def int8_minilm(models_dir: Path) -> Artifact:
    """MiniLM exported in 8 bits."""
    return ArtifactStore(models_dir).open(MINILM, "int8")


def _clip_source(models_dir: Path, model: Model) -> Source:
    """The weights that the exported tower was made from."""
    manifest = ArtifactStore(models_dir).open(model, "fp32").manifest
    return untrained_source() if manifest.weights == "untrained" else find_source(model)


@pytest.fixture(scope="session")
def clip_image(models_dir: Path) -> Reference:
    """CLIP's image tower in PyTorch."""
    return load_reference(CLIP_IMAGE, _clip_source(models_dir, CLIP_IMAGE))


@pytest.fixture(scope="session")
def clip_text(models_dir: Path) -> Reference:
    """CLIP's text tower in PyTorch."""
    return load_reference(CLIP_TEXT, _clip_source(models_dir, CLIP_TEXT))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The settings of the hub's client, with an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return constants
