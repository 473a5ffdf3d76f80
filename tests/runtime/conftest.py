"""Real artefacts, as the runtime is given them."""

from pathlib import Path

import pytest

from tests.models.artifacts import copy_of
from vla_embeddings.models import MINILM, Artifact, ArtifactStore


@pytest.fixture
def minilm(models_dir: Path) -> Artifact:
    """MiniLM in fp32."""
    return ArtifactStore(models_dir).open(MINILM, "fp32")


@pytest.fixture
def minilm_copy(minilm: Artifact, tmp_path: Path) -> Artifact:
    """MiniLM in fp32 in a store of its own, to be damaged."""
    return copy_of(minilm, tmp_path)
