"""The fused fp32 graph in other precisions."""

import shutil
from pathlib import Path

import onnx
from onnxruntime.transformers.onnx_model import OnnxModel

from vla_embeddings.models import Precision


def write_precision(fused: Path, precision: Precision, path: Path) -> None:
    """Write the fused fp32 graph in a precision; inputs are integers, outputs stay fp32."""
    if precision == "fp32":
        shutil.copyfile(fused, path)
        return
    graph = OnnxModel(onnx.load(fused))
    graph.convert_float_to_float16(keep_io_types=True, use_symbolic_shape_infer=True)
    graph.save_model_to_file(str(path))
