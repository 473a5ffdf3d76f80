"""The PyTorch models that exports are made from, loaded once."""

from pathlib import Path

import pytest

from vla_embeddings.export.checkpoints import Source, find_source, untrained_source
from vla_embeddings.export.graphs import export_graph
from vla_embeddings.export.references import Reference, load_reference
from vla_embeddings.models import CLIP_IMAGE, CLIP_TEXT, MINILM


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
def clip_image() -> Reference:
    """CLIP's image tower in PyTorch, with seeded weights."""
    return load_reference(CLIP_IMAGE, untrained_source())


@pytest.fixture(scope="session")
def clip_text() -> Reference:
    """CLIP's text tower in PyTorch, with seeded weights."""
    return load_reference(CLIP_TEXT, untrained_source())
