"""Biases go where they cost nothing, and the graph computes what it did."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.export.running import run
from vla_embeddings.export.biases import move_biases
from vla_embeddings.export.graphs import fuse_graph
from vla_embeddings.models import MINILM

RNG = np.random.default_rng(0)
WIDTH = 4
CONTRIB = "com.microsoft"


def _block(*also: NodeProto, outputs: tuple[str, ...] = ("y",)) -> ModelProto:
    """y = LN2(LN1(x) + (gelu(LN1(x) W + c) W + b)), and other nodes."""
    constants = {
        "w": RNG.standard_normal((WIDTH, WIDTH)),
        **{name: RNG.standard_normal(WIDTH) for name in ("gamma", "beta", "b", "c")},
    }
    nodes = [
        helper.make_node("LayerNormalization", ["x", "gamma", "beta"], ["normalised"]),
        helper.make_node("MatMul", ["normalised", "w"], ["inner"]),
        helper.make_node("BiasGelu", ["inner", "c"], ["active"], domain=CONTRIB),
        helper.make_node("MatMul", ["active", "w"], ["outer"]),
        helper.make_node(
            "SkipLayerNormalization",
            ["outer", "normalised", "gamma", "beta", "b"],
            ["y"],
            domain=CONTRIB,
        ),
        *also,
    ]
    shape: list[str | int | None] = ["rows", "tokens", WIDTH]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "block",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in outputs],
            [
                numpy_helper.from_array(value.astype(np.float32), name)
                for name, value in constants.items()
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)],
        ir_version=8,
    )


def _biased_sums(graph: ModelProto) -> int:
    return sum(
        node.op_type == "SkipLayerNormalization" and len(node.input) > 4
        for node in graph.graph.node
    )


def test_a_blocks_bias_moves_into_the_normalisation_of_its_input() -> None:
    """The two LayerNormalizations share their constants here; the second keeps its own."""
    graph, x = _block(), RNG.standard_normal((2, 3, WIDTH)).astype(np.float32)
    (before,) = run(graph, {"x": x})

    move_biases(graph)

    assert _biased_sums(graph) == 0
    np.testing.assert_allclose(run(graph, {"x": x})[0], before, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "graph",
    [
        _block(helper.make_node("Relu", ["normalised"], ["z"]), outputs=("y", "z")),
        _block(outputs=("y", "normalised")),
    ],
    ids=["a node", "the caller"],
)
def test_a_bias_stays_where_something_else_reads_the_normalised_input(graph: ModelProto) -> None:
    x = RNG.standard_normal((2, 3, WIDTH)).astype(np.float32)
    before = run(graph, {"x": x})

    move_biases(graph)

    assert _biased_sums(graph) == 1
    for now, then in zip(run(graph, {"x": x}), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_no_block_of_minilm_keeps_its_biases(plain_minilm: Path, tmp_path: Path) -> None:
    fuse_graph(plain_minilm, MINILM, tmp_path / "fused.onnx")
    graph = onnx.load(tmp_path / "fused.onnx")
    ids = RNG.integers(1000, 20000, (2, 9))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    (before,) = run(graph, feeds)
    assert _biased_sums(graph) == 12

    move_biases(graph)

    assert _biased_sums(graph) == 0
    np.testing.assert_allclose(run(graph, feeds)[0], before, rtol=0, atol=1e-6)
