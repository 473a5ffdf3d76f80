"""Where the fp16 part of a graph begins and ends: pixels and vectors are made in fp32."""

from collections.abc import Callable, Iterable, Iterator

from onnx import ModelProto, NodeProto, TensorProto

_NORMS = ("LayerNormalization", "SkipLayerNormalization")


def ends(model: ModelProto) -> Iterator[NodeProto]:
    """What pools the last product or norm and makes it a unit vector, and what scales pixels.

    In fp16, a vector's length would be off by up to 5e-4, which no proof on a CPU can see.
    """
    nodes = model.graph.node
    weights = {entry.name for entry in model.graph.initializer}

    def is_boundary(node: NodeProto) -> bool:
        by_weights = node.op_type == "MatMul" and not weights.isdisjoint(node.input)
        return by_weights or node.op_type in _NORMS

    makers = {output: node for node in nodes for output in node.output}
    yield from _reach(
        (entry.name for entry in model.graph.output),
        lambda name: [makers[name]] if name in makers else [],
        lambda node: node.input,
        is_boundary,
    )
    pixels = (
        entry.name
        for entry in model.graph.input
        if entry.type.tensor_type.elem_type == TensorProto.UINT8
    )
    yield from _reach(
        pixels,
        lambda name: [node for node in nodes if name in node.input],
        lambda node: node.output,
        is_boundary,
    )


def _reach(
    names: Iterable[str],
    neighbours: Callable[[str], Iterable[NodeProto]],
    beyond: Callable[[NodeProto], Iterable[str]],
    is_boundary: Callable[[NodeProto], bool],
) -> Iterator[NodeProto]:
    """All nodes on the way from some values to the first boundaries."""
    waiting, seen = list(names), set[str]()
    while waiting:
        for node in neighbours(waiting.pop()):
            if not is_boundary(node) and node.name not in seen:
                seen.add(node.name)
                yield node
                waiting.extend(beyond(node))
