"""fp16 graphs make pixels and unit vectors in fp32, where a proof on a CPU could not tell."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from vla_embeddings.export.ends import ends
from vla_embeddings.export.half import halve
from vla_embeddings.models import MINILM, ArtifactStore, Precision

HALF, FULL = TensorProto.FLOAT16, TensorProto.FLOAT


def _types(graph: ModelProto) -> dict[str, int]:
    """The type of every value; ONNX Runtime's own operators make fp16."""
    known = ModelProto()
    known.CopyFrom(graph)
    for node in graph.graph.node:
        if node.domain == "com.microsoft":
            known.graph.value_info.append(
                helper.make_tensor_value_info(node.output[0], HALF, None)
            )
    inferred = onnx.shape_inference.infer_shapes(known, strict_mode=True).graph
    entries = [*inferred.value_info, *inferred.output, *inferred.input]
    constants = {entry.name: entry.data_type for entry in inferred.initializer}
    return constants | {entry.name: entry.type.tensor_type.elem_type for entry in entries}


def _floats(graph: ModelProto) -> Iterator[tuple[NodeProto, set[int]]]:
    """Each node with the types of the floats that it reads and makes, casts apart."""
    types = _types(graph)
    for node in graph.graph.node:
        if node.op_type != "Cast":
            names = (*node.input, *node.output)
            yield node, {types[name] for name in names if name} & {HALF, FULL}


@pytest.mark.parametrize("precision", ["fp16", "fp16-tensorrt"])
def test_a_text_is_pooled_and_made_a_unit_vector_in_fp32(
    models_dir: Path, precision: Precision
) -> None:
    graph = onnx.load(ArtifactStore(models_dir).open(MINILM, precision).graph)
    weights = {entry.name for entry in graph.graph.initializer}

    floats = list(_floats(graph))

    *_, pooling, squeeze, norm, division = [
        node.op_type for node, types in floats if types == {FULL}
    ]
    assert (pooling, squeeze, norm, division) == ("MatMul", "Squeeze", "ReduceL2", "Div")
    for node, types in floats:
        if node.op_type == "Attention" or (
            node.op_type == "MatMul" and not weights.isdisjoint(node.input)
        ):
            assert types == {HALF}
    assert all(len(types) < 2 for _, types in floats)


def test_in_fp16_all_but_pooling_and_norm_is_in_fp16(models_dir: Path) -> None:
    graph = onnx.load(ArtifactStore(models_dir).open(MINILM, "fp16").graph)

    in_full = [node.op_type for node, types in _floats(graph) if types == {FULL}]

    mean = ["ReduceSum", "Div", "Unsqueeze"]  # each token's share in the mean
    assert in_full == [*mean, "MatMul", "Squeeze", "ReduceL2", "Div"]


def test_pixels_are_scaled_in_fp32_and_rounded_as_the_products_input() -> None:
    def floats(name: str, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, FULL, shape)

    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, (1, 4))
    constants = {
        "scale": np.full(4, 1 / 255, np.float32),
        "weights": np.ones((4, 2), np.float32),
        "gamma": np.ones(2, np.float32),
    }
    tower = [
        helper.make_node("Cast", ["pixels"], ["as_float"], "cast", to=FULL),
        helper.make_node("Mul", ["as_float", "scale"], ["scaled"], "mul"),
        helper.make_node("MatMul", ["scaled", "weights"], ["product"], "product"),
        helper.make_node("LayerNormalization", ["product", "gamma"], ["hidden"], "layer_norm"),
        helper.make_node("ReduceL2", ["hidden"], ["length"], "norm"),
        helper.make_node("Div", ["hidden", "length"], ["embedding"], "division"),
    ]
    model = helper.make_model(
        helper.make_graph(
            tower,
            "tower",
            [pixels],
            [floats("embedding", 1, 2)],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )

    halved = halve(model, {node.name for node in ends(model)})

    assert {node.name: types for node, types in _floats(halved)} == {
        "mul": {FULL},
        "product": {HALF},
        "layer_norm": {HALF},
        "norm": {FULL},
        "division": {FULL},
    }
