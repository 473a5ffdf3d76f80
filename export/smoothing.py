"""SmoothQuant: moving the spread between activation channels into the weights."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from vla_embeddings.export.wiring import Wiring

_SMALLEST = 1e-5  # what a channel counts as that is always zero

Factors = Mapping[str, NDArray[np.float32]]
"""What to divide each channel of an activation by, (channels,), by the activation's name."""


def smoothing_factors(
    activations: NDArray[np.float32], weights: NDArray[np.float32], alpha: float
) -> NDArray[np.float32]:
    """What to divide each activation channel by, and multiply its row of weights by.

    The product stays what it was; with one scale for all channels, it loses less to rounding.
    Equation 4 of arXiv 2211.10438.

    Args:
        activations: (channels,), the largest magnitude of each.
        weights: (channels, outputs), of all products that read the activations.
        alpha: how much of the spread moves, from 0 to 1.

    Returns:
        (channels,), with a geometric mean of 1.
    """
    rows = np.abs(weights).max(axis=1)
    logs = alpha * np.log(np.maximum(activations, _SMALLEST))
    logs -= (1 - alpha) * np.log(np.maximum(rows, _SMALLEST))
    factors: NDArray[np.float32] = np.exp(logs - logs.mean()).astype(np.float32)
    return factors


def smooth_graph(graph: ModelProto, factors: Factors) -> dict[str, str]:
    """Divide activations by their factors and multiply what reads them by them, in place.

    The graph computes what it did. Where products alone read what a LayerNormalization or an
    Attention makes, its constants are divided, which costs nothing; elsewhere comes a Mul.

    Args:
        graph: from `graphs.fuse_graph`.
        factors: of every activation that a product by constant weights reads.

    Returns:
        The name of each divided activation, by that of the activation.
    """
    wiring = Wiring(graph)
    divided = {}
    for activation, readers in wiring.products().items():
        for reader in readers:
            weights = wiring.constant_of(reader, 1)
            wiring.give_constant(reader, 1, weights * factors[activation][:, None])
        alone = wiring.readers(activation) == readers and not wiring.is_output(activation)
        if not (alone and _make_divided(wiring, activation, factors[activation])):
            _divide(graph, activation, readers, factors[activation])
        divided[activation] = readers[0].input[0]
    return divided


def _make_divided(wiring: Wiring, activation: str, factors: NDArray[np.float32]) -> bool:
    """Whether the node that makes an activation could be made to divide it too."""
    maker = wiring.maker(activation)
    kind = maker.op_type if maker is not None else None
    if maker is None or kind not in ("LayerNormalization", "Attention"):
        return False
    for place in (1, 2):  # scale or weights, and bias
        divided = wiring.constant_of(maker, place).copy()
        # Of an Attention the values, whose mean it makes: the last third of its outputs.
        divided[..., -len(factors) :] /= factors
        wiring.give_constant(maker, place, divided)
    return True


def _divide(
    graph: ModelProto, activation: str, readers: Sequence[NodeProto], factors: NDArray[np.float32]
) -> None:
    """Put in a Mul ahead of the first reader, and have all readers read its output."""
    inverse, smoothed = f"{activation}_inverse", f"{activation}_smoothed"
    graph.graph.initializer.append(numpy_helper.from_array(1 / factors, inverse))
    place = list(graph.graph.node).index(readers[0])
    graph.graph.node.insert(place, helper.make_node("Mul", [activation, inverse], [smoothed]))
    for reader in readers:
        reader.input[0] = smoothed
