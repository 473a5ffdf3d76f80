"""Runtimes that several peers share; imported by name, as in `benchmarks.peers.texts`."""

import gc
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.adapter import Place, Vectors


def load_cuda() -> None:
    """Let ONNX Runtime find CUDA, which PyTorch and wheels bring off the library path."""
    import_module("onnxruntime").preload_dlls()


def require_cuda() -> None:
    """See that no session of ONNX Runtime was left to the CPU, which it does with a log line.

    Raises:
        RuntimeError: one was.
    """
    session_type = import_module("onnxruntime").InferenceSession
    for session in (each for each in gc.get_objects() if isinstance(each, session_type)):
        provider = session.get_providers()[0]
        if provider != Place("cuda", 1).provider:
            raise RuntimeError(f"ONNX Runtime left it to {provider}")


def torch_dtype(place: Place) -> str:
    """PyTorch's: half precision on a GPU, as the libraries' own guides to speed advise."""
    return "float32" if place.device == "cpu" else "float16"


def session_options(threads: int) -> Any:
    """ONNX Runtime's, with so many threads; the rest at its defaults."""
    options = import_module("onnxruntime").SessionOptions()
    options.intra_op_num_threads = threads
    return options


def openvino_graph(graph: Path, place: Place) -> Callable[[Mapping[str, NDArray[Any]]], Vectors]:
    """OpenVINO's runtime on an ONNX graph; returns the graph's first output."""
    model = import_module("openvino").compile_model(
        graph,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": place.threads,
            # It would choose bfloat16 by itself where the processor has it.
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )
    return lambda inputs: np.array(model(inputs)[0])
