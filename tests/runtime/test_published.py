"""MiniLM gives the numbers that others have published for it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from vla_embeddings import EmbeddingConfig, EmbeddingService
from vla_embeddings.runtime import TextEncoder

Floats = NDArray[np.float64]


def _snapshot(path: Path) -> Floats:
    """The rows of a snapshot: a YAML list of lists, below a header between two lines of `---`."""
    _, _, body = path.read_text().split("---\n", 2)
    rows = body.split("- - ")[1:]
    return np.array([[float(value) for value in row.split("- ") if value] for row in rows])


def _cosines(first: ArrayLike, second: ArrayLike) -> Floats:
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines: Floats = (one * other).sum(axis=1) / lengths
    return cosines


def _spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Pearson's correlation of the ranks; equal values share their mean rank."""

    def ranks(values: ArrayLike) -> Floats:
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        mean_ranks: Floats = np.cumsum(counts) - (counts - 1) / 2
        return mean_ranks[place]

    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


@pytest.mark.parametrize("index", [0, 1], ids=["single", "batch"])
def test_vectors_equal_text_embeddings_inferences(
    index: int, shared_data: Path, text_encoder: TextEncoder
) -> None:
    golden = json.loads((shared_data / "golden" / "golden.json").read_text())["minilm"][index]
    published = _snapshot(shared_data / "golden" / golden["file"])

    vectors = text_encoder.encode(golden["texts"])

    assert published.shape == (len(golden["texts"]), 384)
    assert _cosines(vectors, published).min() >= 0.99999


def test_a_vector_equals_fastembeds(text_encoder: TextEncoder) -> None:
    published = [-0.034478, 0.03102, 0.00673, 0.02611, -0.039362]

    [vector] = text_encoder.encode(["hello world"])

    np.testing.assert_allclose(vector[:5], published, rtol=0, atol=1e-4)


async def test_sts_benchmark_dev_has_the_models_own_spearman(
    shared_data: Path, models_dir: Path
) -> None:
    with (shared_data / "sts" / "stsb-en-dev.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    texts = [row[column] for column in (0, 1) for row in rows]

    async with EmbeddingService(config=EmbeddingConfig(models_dir=models_dir)) as service:
        vectors = (await service.batch_generate_embeddings(texts=texts))["text_embeddings"]

    cosines = _cosines(vectors[: len(rows)], vectors[len(rows) :])
    scores = [float(row[2]) for row in rows]
    assert len(rows) == 1500
    assert _spearman(cosines, scores) == pytest.approx(0.8672, abs=0.0005)
