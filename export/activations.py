"""Activations in 8 bits: as one term, or as the sum of two where one cannot hold their spread."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

LEVELS = 255
HEADROOM = 4
"""How far beyond its calibrated range the first of two terms reaches: with 16 bits in all, the
resolution that this costs is not missed."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a graph."""

    nodes: list[NodeProto] = field(default_factory=list)
    tensors: list[TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant, and return its name."""
        self.tensors.append(numpy_helper.from_array(value, name))
        return name


@dataclass(frozen=True, slots=True)
class Term:
    """Names of a quantised activation, its scale and its zero point (uint8)."""

    quantized: str
    scale: str
    zero: str


def one_term(piece: Piece, activation: str, low: float, high: float) -> list[Term]:
    """Quantise an activation; what lies beyond `low` or `high` is clipped."""
    step, zero = _affine(low, high)
    return [_quantize(piece, activation, step, zero)]


def two_terms(piece: Piece, activation: str, low: float, high: float) -> list[Term]:
    """Quantise an activation coarsely and beyond its range, and then what that left over.

    A product by 8-bit weights is the sum of two products. On a CPU with VNNI or AMX, both
    together take a fraction of the time of one in fp32.
    """
    step, zero = _affine(HEADROOM * low, HEADROOM * high)
    coarse = _quantize(piece, activation, step, zero)
    restored, rest = f"{coarse.quantized}_restored", f"{activation}_rest"
    piece.nodes.append(
        helper.make_node(
            "DequantizeLinear", [coarse.quantized, coarse.scale, coarse.zero], [restored]
        )
    )
    piece.nodes.append(helper.make_node("Sub", [activation, restored], [rest]))
    return [coarse, _quantize(piece, rest, *_affine(-step / 2, step / 2))]


def _affine(low: float, high: float) -> tuple[float, int]:
    """Step and zero point of a range."""
    low, high = min(0.0, low), max(0.0, high)  # 0 is always a value: the zero point's
    step = (high - low) / LEVELS
    return step, round(-low / step)


def _quantize(piece: Piece, activation: str, step: float, zero: int) -> Term:
    term = Term(f"{activation}_int8", f"{activation}_scale", f"{activation}_zero")
    piece.constant(term.scale, np.array(step, np.float32))
    piece.constant(term.zero, np.array(zero, np.uint8))
    inputs = [activation, term.scale, term.zero]
    piece.nodes.append(helper.make_node("QuantizeLinear", inputs, [term.quantized]))
    return term
