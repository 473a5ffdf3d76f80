"""The graph that TensorRT compiles: standard operators, with every type spelled out.

TensorRT does not know ONNX Runtime's fused operators, and from version 11 on takes its precision
from the graph's types alone.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto, TensorProto

from vla_embeddings.errors import ExportError
from vla_embeddings.export.half import halve

# Their sums run over hundreds of values and lose too much in fp16.
SUMMING = ("LayerNormalization", "Softmax")
# What a vector is made from, or pixels are put into: fp16 begins and ends here.
_BOUNDARIES = ("MatMul", "LayerNormalization")


def write_tensorrt_graph(plain: Path, path: Path) -> None:
    """Write a plain fp32 graph in fp16, but for sums, pixel normalisation, pooling and norm.

    Args:
        plain: from `graphs.export_graph`, of a tower that is not `fusable`.
        path: where to.

    Raises:
        ExportError: it has an operator that is not ONNX's own.
    """
    graph = onnx.load(plain)
    foreign = {node.op_type for node in graph.graph.node if node.domain not in ("", "ai.onnx")}
    if foreign:
        raise ExportError(f"TensorRT knows ONNX's own operators alone; got {sorted(foreign)}.")
    onnx.save(halve(graph, {node.name for node in _in_full_precision(graph)}), path)
    onnx.checker.check_model(str(path), full_check=True)


def _in_full_precision(model: ModelProto) -> Iterator[NodeProto]:
    """Sums, what makes a vector of the last product, and what makes pixels the first's input."""
    nodes = model.graph.node
    yield from (node for node in nodes if node.op_type in SUMMING)
    makers = {output: node for node in nodes for output in node.output}
    yield from _reach(
        (entry.name for entry in model.graph.output),
        lambda name: [makers[name]] if name in makers else [],
        lambda node: node.input,
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
    )


def _reach(
    names: Iterable[str],
    neighbours: Callable[[str], Iterable[NodeProto]],
    beyond: Callable[[NodeProto], Iterable[str]],
) -> Iterator[NodeProto]:
    """All nodes on the way from some values to the first boundaries."""
    waiting, seen = list(names), set[str]()
    while waiting:
        for node in neighbours(waiting.pop()):
            if node.op_type not in _BOUNDARIES and node.name not in seen:
                seen.add(node.name)
                yield node
                waiting.extend(beyond(node))
