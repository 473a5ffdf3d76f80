"""A graph for CPUs as files: the weights that a session rearranges lie beside it."""

from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto
from onnx.external_data_helper import set_external_data

from vla_embeddings.models import WEIGHTS

# Those whose kernels on CPUs copy a constant second input into an order of their own.
PACKING = ("Attention", "MatMul", "MatMulIntegerToFloat", "QAttention")
PAGE = 4096  # bytes; a file is mapped from such multiples


def save_graph(graph: ModelProto, path: Path) -> None:
    """Write a graph, and the weights of its products to a file beside it.

    A session maps that file, copies the weights into its own order, and lets the mapping go. From
    within the graph they would be parsed, copied twice, and leave holes in the heap as large as
    they are. Everything else stays within the graph: what a session went on to read from a mapped
    file would end the process when somebody cuts that file short.

    Args:
        graph: it has lost those weights afterwards.
        path: of the graph.
    """
    with path.with_name(WEIGHTS).open("wb") as file:
        for tensor in _packed(graph):
            file.write(bytes(-file.tell() % PAGE))
            set_external_data(tensor, WEIGHTS, offset=file.tell(), length=len(tensor.raw_data))
            file.write(tensor.raw_data)
            tensor.ClearField("raw_data")
    onnx.save(graph, path)


def _packed(graph: ModelProto) -> Iterator[TensorProto]:
    """The constants that nothing but packing kernels reads, of a page at least."""
    body = graph.graph
    packed = {node.input[1] for node in body.node if node.op_type in PACKING}
    kept = {
        name
        for node in body.node
        for place, name in enumerate(node.input)
        if node.op_type not in PACKING or place != 1
    }
    movable = packed - kept
    for tensor in body.initializer:
        if tensor.name in movable and len(tensor.raw_data) >= PAGE:
            yield tensor
