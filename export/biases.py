"""Biases moved from where they cost a pass over the activations to where they cost none."""

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

from vla_embeddings.export.layer_norm import FUSED
from vla_embeddings.export.wiring import Wiring

_RESIDUAL, _BIAS = 1, 4
"""Inputs of SkipLayerNormalization: what a block's output is added to, and that output's bias."""

_NORMS = {"LayerNormalization": 2, FUSED: 3}
"""Where each of them has its bias."""


def move_biases(graph: ModelProto) -> None:
    """Move the bias of a block's output into the normalisation that made its input, in place.

    The graph computes what it did: LN(x) + (y + b) = (LN(x) + b) + y, and the products that read
    LN(x) have biases of their own, which become less by b W. BERT's blocks are of this form;
    CLIP's residuals are not normalised, and stay as they are.

    Args:
        graph: from `graphs.fuse_graph`.
    """
    wiring = Wiring(graph)
    for node in wiring.nodes:
        if node.op_type == FUSED and len(node.input) > _BIAS and _move(wiring, node):
            del node.input[_BIAS]


def _move(wiring: Wiring, addition: NodeProto) -> bool:
    """Whether the bias of a SkipLayerNormalization could be moved."""
    normalised = addition.input[_RESIDUAL]
    norm = wiring.maker(normalised)
    if norm is None or norm.op_type not in _NORMS or norm.output[0] != normalised:
        return False
    products = [node for node in wiring.readers(normalised) if node != addition]
    biases = [bias for node in products if (bias := _bias_after(wiring, node)) is not None]
    if len(biases) < len(products) or wiring.is_output(normalised):
        return False
    moved = wiring.constant_of(addition, _BIAS)
    _add(wiring, norm, _NORMS[norm.op_type], moved)
    for product, (node, place) in zip(products, biases, strict=True):
        _add(wiring, node, place, -moved.astype(np.float64) @ wiring.constant_of(product, 1))
    return True


def _bias_after(wiring: Wiring, product: NodeProto) -> tuple[NodeProto, int] | None:
    """The node that adds a bias to a product by constant weights, and its input for it."""
    if product.op_type == "Attention":
        return product, 2
    after = wiring.only_reader(product.output[0])
    if product.op_type == "MatMul" and after is not None and after.op_type == "BiasGelu":
        return after, 1
    return None


def _add(wiring: Wiring, node: NodeProto, place: int, change: NDArray[np.floating]) -> None:
    """Add to one of a node's constants."""
    wiring.give_constant(
        node, place, (wiring.constant_of(node, place) + change).astype(np.float32)
    )
