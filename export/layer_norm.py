"""LayerNormalization in the form that is fast on CPUs."""

from onnx import ModelProto, NodeProto, helper

FUSED = "SkipLayerNormalization"


def split_skip_layer_norms(graph: ModelProto) -> None:
    """Turn every SkipLayerNormalization into its additions and a LayerNormalization, in place.

    ONNX Runtime's CPU kernel of the fused operator is a scalar loop; those of the parts are
    vectorised and take a seventh of its time together (docs/adr/0014-cpu-graphs.md). On GPUs the
    fused operator saves launches.

    Args:
        graph: from `graphs.fuse_graph`.
    """
    nodes = [part for node in graph.graph.node for part in _parts(node)]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _parts(node: NodeProto) -> list[NodeProto]:
    if node.op_type != FUSED:
        return [node]
    summand, residual, gamma, beta, *bias = node.input
    normalised, *optional = node.output
    # The fourth output is the sum before the normalisation, where a later block reads it.
    total = optional[2] if len(optional) > 2 else f"{normalised}_sum"
    parts = []
    if bias:
        biased = f"{normalised}_biased"
        parts.append(helper.make_node("Add", [summand, *bias], [biased]))
        summand = biased
    parts.append(helper.make_node("Add", [summand, residual], [total]))
    norm = helper.make_node("LayerNormalization", [total, gamma, beta], [normalised], node.name)
    norm.attribute.extend(node.attribute)  # epsilon
    return [*parts, norm]
