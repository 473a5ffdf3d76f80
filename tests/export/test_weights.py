"""A CPU's graph keeps the weights of its products in a file of which no session keeps anything."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

from tests.export.running import run
from vla_embeddings.export.weights import PAGE, save_graph
from vla_embeddings.models import (
    CLIP_IMAGE,
    CLIP_TEXT,
    MINILM,
    WEIGHTS,
    Artifact,
    ArtifactStore,
    Model,
)
from vla_embeddings.runtime import CPU_CHOICE, Session

SIDE = 64
RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(SIDE, SIDE)).astype(np.float32)


def _graph(matrix: NDArray[np.float32]) -> ModelProto:
    """y = (x @ first) @ second + first[0], where second is `matrix`."""
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["between"]),
        helper.make_node("MatMul", ["between", "second"], ["product"]),
        helper.make_node("Gather", ["first", "zero"], ["row"], axis=0),
        helper.make_node("Add", ["product", "row"], ["y"]),
    ]
    constants = {"first": MATRIX, "second": matrix, "zero": np.array(0)}
    graph = helper.make_graph(
        nodes,
        "two products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", len(matrix[0])])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _outside(path: Path) -> set[str]:
    written = onnx.load(path, load_external_data=False)
    return {tensor.name for tensor in written.graph.initializer if tensor.external_data}


def test_it_computes_the_same(tmp_path: Path) -> None:
    x = RNG.normal(size=(3, SIDE)).astype(np.float32)
    save_graph(_graph(MATRIX), tmp_path / "model.onnx")

    session = InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])

    np.testing.assert_array_equal(session.run(None, {"x": x}), run(_graph(MATRIX), {"x": x}))


def test_what_another_operator_reads_too_stays_inside(tmp_path: Path) -> None:
    save_graph(_graph(MATRIX), tmp_path / "model.onnx")

    assert _outside(tmp_path / "model.onnx") == {"second"}


def test_less_than_a_page_stays_inside(tmp_path: Path) -> None:
    save_graph(_graph(MATRIX[:, : PAGE // SIDE // 4 - 1]), tmp_path / "model.onnx")

    assert _outside(tmp_path / "model.onnx") == set()


@pytest.mark.parametrize("model", [MINILM, CLIP_IMAGE, CLIP_TEXT], ids=lambda model: model.kind)
def test_the_graphs_of_the_models_keep_all_their_products_weights_outside(
    models_dir: Path, model: Model
) -> None:
    artifact = ArtifactStore(models_dir).open(model, "fp32")
    written = onnx.load(artifact.graph, load_external_data=False).graph
    products = {node.input[1] for node in written.node if node.op_type in ("Attention", "MatMul")}
    constants = {tensor.name for tensor in written.initializer}

    assert _outside(artifact.graph) == products & constants


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_session_keeps_nothing_of_the_file(
    models_dir: Path, int8_minilm: Artifact, precision: str
) -> None:
    """So whoever cuts it short once a model is loaded does no harm."""
    artifact = (
        int8_minilm if precision == "int8" else ArtifactStore(models_dir).open(MINILM, "fp32")
    )
    session = Session.load(artifact, CPU_CHOICE, threads=1)

    assert session.dimension == MINILM.dimension
    assert WEIGHTS not in Path("/proc/self/maps").read_text()
