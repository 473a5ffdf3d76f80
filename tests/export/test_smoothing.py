"""Smoothing evens out activation channels, and the graph computes what it did."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto

from tests.export.running import run
from vla_embeddings.export.smoothing import smooth_graph, smoothing_factors
from vla_embeddings.export.wiring import Wiring
from vla_embeddings.models import CLIP_IMAGE, MINILM, ArtifactStore, Model

RNG = np.random.default_rng(0)


def _factors(graph: ModelProto) -> dict[str, NDArray[np.float32]]:
    """Some for every activation that a product reads."""
    wiring = Wiring(graph)
    return {
        activation: RNG.uniform(0.5, 2, len(wiring.constant_of(readers[0], 1))).astype(np.float32)
        for activation, readers in wiring.products().items()
    }


def _muls(graph: ModelProto) -> int:
    return Counter(node.op_type for node in graph.graph.node)["Mul"]


IDS = RNG.integers(1000, 20000, (2, 9))
TEXTS = {"input_ids": IDS, "attention_mask": np.ones_like(IDS)}
PIXELS = {"pixels": RNG.integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)}


@pytest.mark.parametrize(
    ("model", "feeds", "muls"),
    # MiniLM: of a layer's four, all but the attention's output, since normalised activations are
    # residuals too. CLIP: each block's GELU; three more in the last block, and the patches.
    [(MINILM, TEXTS, 6 * 3), (CLIP_IMAGE, PIXELS, 12 + 3 + 1)],
    ids=["text", "image"],
)
def test_a_smoothed_graph_computes_what_it_did_with_few_more_operators(
    models_dir: Path, model: Model, feeds: dict[str, NDArray[np.generic]], muls: int
) -> None:
    graph = onnx.load(ArtifactStore(models_dir).open(model, "fp32").graph)
    before, muls_before = run(graph, feeds)[0], _muls(graph)

    divided = smooth_graph(graph, _factors(graph))

    assert set(divided.values()) == set(Wiring(graph).products())
    assert _muls(graph) - muls_before == muls
    np.testing.assert_allclose(run(graph, feeds)[0], before, rtol=0, atol=1e-5)


def test_half_the_spread_of_channels_moves_into_the_weights_at_one_half() -> None:
    weights = np.array([[1, -4], [4, 1]], np.float32)

    factors = smoothing_factors(np.array([16, 1], np.float32), weights, 0.5)

    np.testing.assert_allclose(factors, [2, 0.5], rtol=1e-6)
