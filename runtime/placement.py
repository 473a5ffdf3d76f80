"""Which provider runs which operators of a loaded graph, as ONNX Runtime itself recorded it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

RECORD_PLACEMENT = "session.record_ep_graph_assignment_info"
"""The session's setting without which it records nothing."""

Placement = Mapping[str, Mapping[str, int]]
"""For each provider, how many of each operator it runs."""


# With their fused and quantised kin: FusedMatMul, QAttention, ConvInteger, QGemm.
_HEAVY = ("MatMul", "Gemm", "Attention", "Conv")


def heavy_operators(operators: Mapping[str, int]) -> Mapping[str, int]:
    """Those of a provider's operators that a model's time goes to."""
    return {
        name: count for name, count in operators.items() if any(heavy in name for heavy in _HEAVY)
    }


def placement(session: Any) -> Placement:
    """Read a session's record.

    Operators are counted after ONNX Runtime's optimisation, as they were when they were given to
    the providers; what one of them merged later counts as it was before.

    Args:
        session: made with `RECORD_PLACEMENT`.
    """
    counts: dict[str, Counter[str]] = {}
    for subgraph in session.get_provider_graph_assignment_info():
        of_provider = counts.setdefault(subgraph.ep_name, Counter())
        of_provider.update(node.op_type for node in subgraph.get_nodes())
    return {name: dict(operators.most_common()) for name, operators in counts.items()}
