"""The traced fp32 graph in every precision."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import onnx

from vla_embeddings.export.biases import move_biases
from vla_embeddings.export.calibration import calibration_feeds
from vla_embeddings.export.ends import ends
from vla_embeddings.export.half import halve
from vla_embeddings.export.layer_norm import split_skip_layer_norms
from vla_embeddings.export.quantization import RECIPES, quantize_graph
from vla_embeddings.export.tensorrt import write_tensorrt_graph
from vla_embeddings.export.weights import save_graph
from vla_embeddings.models import Artifact


def write_precision(traced: Path, artifact: Artifact) -> None:
    """Write an fp32 graph as an artefact's, in its precision.

    Inputs are integers, outputs stay fp32. For int8, a text model's tokenizer must be there.

    Args:
        traced: fused, but for TensorRT plain.
        artifact: what to write.
    """
    match artifact.manifest.precision:
        case "fp32":
            graph = onnx.load(traced)
            move_biases(graph)
            split_skip_layer_norms(graph)
            save_graph(graph, artifact.graph)
        case "fp16":
            graph = onnx.load(traced)
            onnx.save(halve(graph, {node.name for node in ends(graph)}), artifact.graph)
        case "int8":
            recipe = RECIPES[artifact.manifest.kind]
            graph = onnx.load(traced)
            split_skip_layer_norms(graph)
            quantized = quantize_graph(graph, recipe, calibration_feeds(artifact))
            save_graph(quantized, artifact.graph)
        case "fp16-tensorrt":
            write_tensorrt_graph(traced, artifact.graph)


def count_operators(graph: Path, names: Collection[str]) -> dict[str, int]:
    """How many of each operator a graph has, of those that it has any of."""
    nodes = onnx.load(graph).graph.node
    counts = Counter(node.op_type for node in nodes if node.op_type in names)
    return dict(sorted(counts.items()))
