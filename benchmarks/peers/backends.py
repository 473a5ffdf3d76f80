"""Runtimes that several peers share; imported by name, as in `benchmarks.peers.texts`."""

import gc
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.adapter import Embed, Place, Vectors

Prepare = Callable[[list[Any]], Mapping[str, NDArray[Any]]]
"""What a graph takes of some inputs."""


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


def openvino_graph(graph: Path, place: Place, prepare: Prepare, batch: int) -> Embed:
    """OpenVINO's runtime on an ONNX graph; returns the graph's first output.

    One batch runs with the hint for latency, several with that for throughput and as many requests
    at once as it chooses, as OpenVINO's guide to performance hints recommends.
    """
    library = import_module("openvino")

    def compiled(hint: str) -> Any:
        settings = {
            "PERFORMANCE_HINT": hint,
            "INFERENCE_NUM_THREADS": place.threads,
            # It would choose bfloat16 by itself where the processor has it.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        return library.compile_model(graph, "CPU", settings)

    single, queue = compiled("LATENCY"), library.AsyncInferQueue(compiled("THROUGHPUT"))
    outputs: dict[int, Vectors] = {}

    def keep(request: Any, start: int) -> None:
        outputs[start] = np.array(request.get_output_tensor(0).data)

    queue.set_callback(keep)

    def embed(inputs: list[Any]) -> Vectors:
        if len(inputs) <= batch:
            return np.array(single(prepare(inputs))[0])
        outputs.clear()
        for start in range(0, len(inputs), batch):
            queue.start_async(prepare(inputs[start : start + batch]), start)
        queue.wait_all()
        return np.concatenate([outputs[start] for start in sorted(outputs)])

    return embed
