"""Runtimes that several peers share; imported by name, as in `benchmarks.peers.texts`."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.adapter import Vectors


def session_options(threads: int) -> Any:
    """ONNX Runtime's, with so many threads; the rest at its defaults."""
    options = import_module("onnxruntime").SessionOptions()
    options.intra_op_num_threads = threads
    return options


def openvino_graph(graph: Path, threads: int) -> Callable[[Mapping[str, NDArray[Any]]], Vectors]:
    """OpenVINO's runtime on an ONNX graph; returns the graph's first output."""
    model = import_module("openvino").compile_model(
        graph,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # It would choose bfloat16 by itself where the processor has it.
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )
    return lambda inputs: np.array(model(inputs)[0])
