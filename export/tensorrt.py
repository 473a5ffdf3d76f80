"""The graph that TensorRT compiles: standard operators, with every type spelled out.

TensorRT does not know ONNX Runtime's fused operators, and from version 11 on takes its precision
from the graph's types alone.
"""

from pathlib import Path

import onnx

from vla_embeddings.errors import ExportError
from vla_embeddings.export.ends import ends
from vla_embeddings.export.half import halve

# Their sums run over hundreds of values and lose too much in fp16.
SUMMING = ("LayerNormalization", "Softmax")


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
    sums = (node for node in graph.graph.node if node.op_type in SUMMING)
    onnx.save(halve(graph, {node.name for node in (*sums, *ends(graph))}), path)
    onnx.checker.check_model(str(path), full_check=True)
