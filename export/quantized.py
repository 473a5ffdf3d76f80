"""How an int8 graph's products are computed, read from the graph itself."""

from collections import Counter
from pathlib import Path

import onnx

from vla_embeddings.export.quantization import INT8_OPERATORS, WEIGHTS, Recipe
from vla_embeddings.models import Quantization

FP32_OPERATORS = ("Attention", "Gemm", "MatMul")


def read_quantization(graph: Path, recipe: Recipe) -> Quantization:
    """Which products are in 8 bits, with how many terms, and which are not.

    Args:
        graph: from `quantization.quantize_graph`.
        recipe: what it was made by.
    """
    body = onnx.load(graph).graph
    constants = {entry.name for entry in body.initializer}
    terms = Counter(
        node.input[1].removesuffix(WEIGHTS) for node in body.node if node.op_type in INT8_OPERATORS
    )
    return Quantization(
        one_term=[name for name, count in terms.items() if count == 1],
        two_terms=[name for name, count in terms.items() if count == 2],
        fp32=[
            node.name
            for node in body.node
            if node.op_type in FP32_OPERATORS and not constants.isdisjoint(node.input)
        ],
        alpha=recipe.alpha,
        two_terms_alpha=recipe.wide_alpha,
    )
