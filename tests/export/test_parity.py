"""A graph that computes other vectors than PyTorch is refused, whatever its digest says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.models.artifacts import MANIFEST_OF_NOTHING, copy_of, vouch_for
from vla_embeddings.errors import ArtifactDamaged, ParityError
from vla_embeddings.export.parity import measure, require, verify
from vla_embeddings.models import (
    CLIP_IMAGE,
    CLIP_TEXT,
    MINILM,
    Artifact,
    ArtifactStore,
    Manifest,
    Model,
    Parity,
    Precision,
)

NAN = float("nan")


def _manifest(precision: Precision) -> Manifest:
    return replace(MANIFEST_OF_NOTHING, precision=precision)


@pytest.fixture
def artifact(models_dir: Path, tmp_path: Path) -> Artifact:
    """A copy of MiniLM's fp32 artefact, to be damaged."""
    return copy_of(ArtifactStore(models_dir).open(MINILM, "fp32"), tmp_path)


def _change_a_weight(artifact: Artifact, change: Callable[[float], float]) -> Artifact:
    graph = onnx.load(artifact.graph)
    weight = next(w for w in graph.graph.initializer if w.dims == [384, 1536])
    values = numpy_helper.to_array(weight).copy()
    values[0, 0] = change(values[0, 0])
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(graph, artifact.graph)
    return vouch_for(artifact)


@pytest.mark.parametrize(
    ("model", "precision", "max_abs_delta", "min_cosine"),
    [
        (MINILM, "fp32", 1e-4, 0.99999),
        (CLIP_IMAGE, "fp32", 1e-4, 0.99999),
        (CLIP_TEXT, "fp32", 1e-4, 0.99999),
        (MINILM, "fp16", 0.01, 0.9995),
    ],
    ids=lambda value: value.kind if isinstance(value, Model) else None,
)
def test_every_export_is_within_its_bounds_when_made_and_now(
    models_dir: Path, model: Model, precision: Precision, max_abs_delta: float, min_cosine: float
) -> None:
    artifact = ArtifactStore(models_dir).open(model, precision)

    for parity in (artifact.manifest.parity, verify(artifact)):
        assert parity.samples >= 30
        assert parity.max_abs_delta <= max_abs_delta
        assert parity.min_cosine >= min_cosine


@pytest.mark.parametrize(
    ("precision", "max_abs_delta", "min_cosine"),
    [
        ("fp32", 1.1e-4, 1.0),
        ("fp32", 0.0, 0.9999),
        ("fp32", NAN, 1.0),
        ("fp32", 0.0, NAN),
        ("fp16", 0.001, 0.9994),
        ("fp16", NAN, NAN),
        ("int8", 0.1, 0.98),
    ],
)
def test_what_is_beyond_a_bound_is_refused(
    precision: Precision, max_abs_delta: float, min_cosine: float
) -> None:
    with pytest.raises(ParityError, match=f"all-MiniLM-L6-v2 {precision} differs"):
        require(Parity(9, max_abs_delta, min_cosine), _manifest(precision))


@pytest.mark.parametrize(("precision", "delta"), [("fp32", 9e-5), ("fp16", 0.01), ("int8", 0.1)])
def test_what_is_within_the_bounds_passes(precision: Precision, delta: float) -> None:
    require(Parity(9, delta, 0.99999), _manifest(precision))


def test_the_worst_vector_counts() -> None:
    expected = np.eye(3, dtype=np.float32)
    vectors = np.array([[1, 0, 0], [0, 0.6, 0.8], [0, 0, 1]], np.float32)

    parity = measure(vectors, expected)

    assert parity.samples == 3
    assert parity.max_abs_delta == pytest.approx(0.8)
    assert parity.min_cosine == pytest.approx(0.6)


def test_one_vector_that_is_not_a_number_is_enough() -> None:
    expected = np.eye(3, dtype=np.float32)
    vectors = expected.copy()
    vectors[1, 2] = np.nan

    with pytest.raises(ParityError):
        require(measure(vectors, expected), _manifest("fp16"))


@pytest.mark.parametrize("change", [lambda w: w + 1, lambda w: NAN], ids=["altered", "nan"])
def test_verify_notices_one_weight_although_the_digests_agree(
    artifact: Artifact, change: Callable[[float], float]
) -> None:
    changed = _change_a_weight(artifact, change)
    changed.verify()

    with pytest.raises(ParityError, match="differs from its PyTorch model"):
        verify(changed)


def test_verify_notices_a_file_that_is_not_the_manifests(artifact: Artifact) -> None:
    artifact.graph.write_bytes(b"something else")

    with pytest.raises(ArtifactDamaged, match="vla-embeddings export"):
        verify(artifact)


@pytest.mark.parametrize("content", [b"nonsense", b"", b"PK\x03\x04 cut short"])
def test_unreadable_samples_name_the_command(artifact: Artifact, content: bytes) -> None:
    artifact.parity.write_bytes(content)

    with pytest.raises(ArtifactDamaged, match=r"parity.npz cannot be read.*vla-embeddings export"):
        verify(vouch_for(artifact))
