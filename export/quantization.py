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
from onnx import ModelProto, NodeProto, TensorProto, helper

from vla_embeddings.export.activations import Piece, Term, one_term, two_terms
from vla_embeddings.export.calibration import Feeds, Range, observe
from vla_embeddings.export.smoothing import smooth_graph, smoothing_factors
from vla_embeddings.export.wiring import Wiring
from vla_embeddings.models import Kind

WEIGHT_LEVELS = 63
SMALLEST = 1e-8  # the largest weight of an output that has none
CONTRIB = "com.microsoft"

INT8_OPERATORS = ("QAttention", "MatMulIntegerToFloat")
WEIGHTS = "_weight"
"""Ends the name of a product's weights in 8 bits, after the name of the product."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a tower is quantised."""

    alpha: float
    """See `smoothing_factors`."""
    wide: tuple[str, ...] = ()
    """Ends of the names of the MatMuls whose activation is the sum of two 8-bit terms."""
    wide_alpha: float = 0.4
    """`alpha` of those, whose activations need less smoothing."""

    def is_wide(self, readers: Sequence[NodeProto]) -> bool:
        """Whether what these products read is the sum of two terms."""
        return any(reader.name.endswith(self.wide) for reader in readers)


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
        A graph of the same inputs and outputs. Attention has become QAttention, and MatMul with
        its bias MatMulIntegerToFloat, each in ONNX Runtime's domain.
    """
    smoothed = ModelProto()
    smoothed.CopyFrom(graph)
    wiring = Wiring(smoothed)
    products = wiring.products()
    ranges = observe(graph, list(products), batches)
    factors = {
        activation: smoothing_factors(
            ranges[activation].magnitude,
            np.hstack([wiring.constant_of(reader, 1) for reader in readers]),
            recipe.wide_alpha if recipe.is_wide(readers) else recipe.alpha,
        )
        for activation, readers in products.items()
    }
    divided = smooth_graph(smoothed, factors)
    seen = {divided[name]: ranges[name] / factors[name] for name in products}
    return _round_products(smoothed, seen, recipe)


def _round_products(graph: ModelProto, seen: Mapping[str, Range], recipe: Recipe) -> ModelProto:
    """The graph with its products in 8 bits; `seen` has the ranges of what they read."""
    wiring = Wiring(graph)
    groups = {
        activation: [_with_bias(wiring, reader) for reader in readers]
        for activation, readers in wiring.products().items()
    }
    replaced = {name for group in groups.values() for product in group for name in product.outputs}
    # Other nodes stay where they are; a group comes where its first product was.
    nodes: list[NodeProto] = []
    tensors: list[TensorProto] = []
    for node in wiring.nodes:
        if node.output[0] not in replaced:
            nodes.append(node)
        elif group := groups.pop(node.input[0], []):
            piece = _round_group(group, seen[node.input[0]], wiring, recipe)
            nodes += piece.nodes
            tensors += piece.tensors
    return _assemble(graph, nodes, tensors)


@dataclass(frozen=True, slots=True)
class _Product:
    """A product, and the name of the bias that is added to it, or none."""

    node: NodeProto
    bias: str
    outputs: tuple[str, ...]
    """The product's, and the sum's."""


def _with_bias(wiring: Wiring, node: NodeProto) -> _Product:
    (product,) = node.output
    after = wiring.only_reader(product)
    if node.op_type == "MatMul" and after is not None and after.op_type == "Add":
        (other,) = (name for name in after.input if name != product)
        columns = wiring.constant_of(node, 1).shape[1:]
        if (bias := wiring.constant(other)) is not None and bias.shape == columns:
            return _Product(node, other, (product, after.output[0]))
    return _Product(node, "", (product,))


def _round_group(group: Sequence[_Product], seen: Range, wiring: Wiring, recipe: Recipe) -> Piece:
    """One activation in 8 bits, and the products that read it."""
    piece = Piece()
    quantize = two_terms if recipe.is_wide([product.node for product in group]) else one_term
    terms = quantize(piece, group[0].node.input[0], float(seen.low.min()), float(seen.high.max()))
    for product in group:
        rounded, steps = _round_weights(wiring.constant_of(product.node, 1))
        values = piece.constant(f"{product.node.name}{WEIGHTS}", rounded)
        scales = piece.constant(f"{product.node.name}_weight_scale", steps)
        piece.nodes.extend(_sum(product, terms, values, scales))
    return piece


def _round_weights(
    matrix: NDArray[np.float32],
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric 7-bit values, and the scale of each output."""
    steps = np.maximum(np.abs(matrix).max(axis=0), SMALLEST) / np.float32(WEIGHT_LEVELS)
    return np.rint(matrix / steps).astype(np.int8), steps


def _sum(product: _Product, terms: Sequence[Term], values: str, scales: str) -> list[NodeProto]:
    """The product with quantised weights, once for each term of its activation, and their sum."""
    node, output = product.node, product.outputs[-1]
    if len(terms) == 1:
        return [_in_8_bits(node, terms[0], values, scales, product.bias, output)]
    first, second = (f"{term.quantized}_product" for term in terms)
    return [
        _in_8_bits(node, terms[0], values, scales, product.bias, first),
        _in_8_bits(node, terms[1], values, scales, "", second),
        helper.make_node("Add", [first, second], [output]),
    ]


def _in_8_bits(
    node: NodeProto, term: Term, values: str, scales: str, bias: str, output: str
) -> NodeProto:
    if node.op_type == "Attention":
        operator = "QAttention"
        own_bias, *mask = node.input[2:4]
        mask = mask or [""]
        inputs = [term.quantized, values, own_bias, term.scale, scales, *mask, term.zero]
    else:
        operator = "MatMulIntegerToFloat"
        inputs = [term.quantized, values, term.scale, scales, term.zero]
        inputs += ["", bias] if bias else []  # weights have no zero point
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
