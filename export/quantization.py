"""A fused graph with its matrix products in 8 bits, for CPUs.

Activation scales are fixed at export and products are summed in integers, so a vector does not
depend on what shares its batch. Weights keep 7 bits: without VNNI, ONNX Runtime adds pairs of
products in 16 bits, which 8-bit weights overflow and 7-bit ones cannot (2 · 255 · 63 < 2^15). So
CPUs with and without it compute the same sums.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from vla_embeddings.export.activations import Piece, Term, one_term, two_terms
from vla_embeddings.export.calibration import Feeds, Range, observe
from vla_embeddings.export.smoothing import smoothing_factors
from vla_embeddings.models import Kind

WEIGHT_LEVELS = 63
SMALLEST = 1e-8  # the largest weight of an output that has none
CONTRIB = "com.microsoft"

INT8_OPERATORS = ("QAttention", "MatMulIntegerToFloat")

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a tower is quantised."""

    alpha: float
    """See `smoothing_factors`."""
    wide: tuple[str, ...] = ()
    """Ends of the names of the MatMuls whose activation is the sum of two 8-bit terms."""
    wide_alpha: float = 0.4
    """`alpha` of those, whose activations need less smoothing."""


# A few of the 1,536 inputs of MiniLM's FFN outputs are a hundred times the others, and reach
# further in the field than in any calibration. With one term, 0.93 instead of 0.956 of the ten
# nearest of 5,000 instructions are kept.
RECIPES: Mapping[Kind, Recipe] = {
    "text": Recipe(alpha=0.6, wide=tuple(f"layer.{i}/output/dense/MatMul" for i in range(6))),
    "image": Recipe(alpha=0.5),
    "clip-text": Recipe(alpha=0.5),
}


def quantize_graph(graph: ModelProto, recipe: Recipe, batches: Iterable[Feeds]) -> ModelProto:
    """The graph with every product by a constant matrix in 8 bits.

    Args:
        graph: from `graphs.fuse_graph`; left as it is.
        recipe: how.
        batches: calibration inputs; values beyond all that they cause will be clipped.

    Returns:
        A graph of the same inputs and outputs. Attention has become QAttention, and MatMul
        MatMulIntegerToFloat, each in ONNX Runtime's domain.
    """
    weights = {
        entry.name: numpy_helper.to_array(entry)
        for entry in graph.graph.initializer
        if entry.data_type == TensorProto.FLOAT
    }
    readers = _readers(graph, weights)
    ranges = observe(graph, list(readers), batches)
    replaced = {reader.output[0] for group in readers.values() for reader in group}
    # Other nodes stay where they are; a group comes where its first product was.
    nodes: list[NodeProto] = []
    tensors: list[TensorProto] = []
    for node in graph.graph.node:
        if node.output[0] not in replaced:
            nodes.append(node)
        elif group := readers.pop(node.input[0], []):
            piece = _quantize_group(group, ranges[node.input[0]], weights, recipe)
            nodes += piece.nodes
            tensors += piece.tensors
    return _assemble(graph, nodes, tensors)


def _readers(graph: ModelProto, weights: Weights) -> dict[str, list[NodeProto]]:
    """The products to quantise, by the activation that they read."""
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.graph.node:
        if node.op_type in ("Attention", "MatMul") and node.input[1] in weights:
            readers.setdefault(node.input[0], []).append(node)
    return readers


def _quantize_group(
    readers: Sequence[NodeProto], seen: Range, weights: Weights, recipe: Recipe
) -> Piece:
    """One activation, smoothed and quantised, and the products that read it."""
    activation = readers[0].input[0]
    matrices = [weights[reader.input[1]] for reader in readers]
    wide = any(reader.name.endswith(recipe.wide) for reader in readers)
    alpha = recipe.wide_alpha if wide else recipe.alpha
    factors = smoothing_factors(seen.magnitude, np.hstack(matrices), alpha)
    piece = Piece()
    inverse = piece.constant(f"{activation}_inverse", 1 / factors)
    smoothed = f"{activation}_smoothed"
    piece.nodes.append(helper.make_node("Mul", [activation, inverse], [smoothed]))
    low, high = float((seen.low / factors).min()), float((seen.high / factors).max())
    quantize = two_terms if wide else one_term
    terms = quantize(piece, smoothed, low, high)
    for reader, matrix in zip(readers, matrices, strict=True):
        rounded, steps = _round_weights(matrix * factors[:, None])
        values = piece.constant(f"{reader.name}_weight", rounded)
        scales = piece.constant(f"{reader.name}_weight_scale", steps)
        piece.nodes.extend(_products(reader, terms, values, scales))
    return piece


def _round_weights(
    matrix: NDArray[np.float32],
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric 7-bit values, and the scale of each output."""
    steps = np.maximum(np.abs(matrix).max(axis=0), SMALLEST) / np.float32(WEIGHT_LEVELS)
    return np.rint(matrix / steps).astype(np.int8), steps


def _products(node: NodeProto, terms: Sequence[Term], values: str, scales: str) -> list[NodeProto]:
    """The node with quantised weights, once for each term of its activation, and their sum."""
    if len(terms) == 1:
        return [_product(node, terms[0], values, scales, node.output[0])]
    outputs = [f"{term.quantized}_product" for term in terms]
    products = [
        _product(node, term, values, scales, output)
        for term, output in zip(terms, outputs, strict=True)
    ]
    return [*products, helper.make_node("Add", outputs, node.output)]


def _product(node: NodeProto, term: Term, values: str, scales: str, output: str) -> NodeProto:
    inputs = [term.quantized, values, term.scale, scales, term.zero]
    operator = "MatMulIntegerToFloat"
    if node.op_type == "Attention":
        operator = "QAttention"
        bias, *mask = node.input[2:4]
        mask = mask or [""]
        inputs = [term.quantized, values, bias, term.scale, scales, *mask, term.zero]
    product = helper.make_node(operator, inputs, [output], output, domain=CONTRIB)
    product.attribute.extend(node.attribute)
    return product


def _assemble(
    graph: ModelProto, nodes: Sequence[NodeProto], tensors: Sequence[TensorProto]
) -> ModelProto:
    """The graph with other nodes, those of its weights that they read, and `tensors`."""
    used = {name for node in nodes for name in node.input}
    kept = [entry for entry in graph.graph.initializer if entry.name in used]
    body = helper.make_graph(
        nodes, graph.graph.name, graph.graph.input, graph.graph.output, [*kept, *tensors]
    )
    return helper.make_model(body, opset_imports=graph.opset_import, ir_version=graph.ir_version)
