"""The machine's limit, as a contender: the time the arithmetic takes at the sgemm peak."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx
from numpy.typing import NDArray

from vla_embeddings.runtime import available_cpus, onnxruntime

# Large enough for the peak, small enough for its matrices to stay in a server's cache.
SIDE = 1536
REPEATS = 4

Product = Callable[[], object]


@dataclass(frozen=True, slots=True)
class SgemmLimit:
    """The fastest product of two square fp32 matrices, measured anew at every turn.

    NumPy's (OpenBLAS) and ONNX Runtime's own (MLAS) both try, with all threads: which of them is
    faster depends on the processor.
    """

    flops: Callable[[slice], float]
    """Floating-point operations of a part of the inputs."""
    name: str = "sgemm peak"

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        """Seconds that each part's operations take at the peak."""
        fastest = min(_seconds(product) for product in _products() for _ in range(REPEATS))
        return [self.flops(part) * fastest / (2 * SIDE**3) for part in parts]


def _seconds(product: Product) -> float:
    start = time.perf_counter()
    product()
    return time.perf_counter() - start


@cache
def _products() -> tuple[Product, Product]:
    matrix: NDArray[np.float32] = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = ort.InferenceSession(_matmul(matrix), options, providers=["CPUExecutionProvider"])
    return (lambda: matrix @ matrix), (lambda: session.run(None, {"left": matrix}))


def _matmul(right: NDArray[np.float32]) -> bytes:
    """A graph of one product; its right side is constant, as weights are."""
    helper, shape = onnx.helper, list(right.shape)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["product"])],
        "matmul",
        [helper.make_tensor_value_info("left", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("product", onnx.TensorProto.FLOAT, shape)],
        [onnx.numpy_helper.from_array(right, "right")],
    )
    opset = helper.make_opsetid("", 17)
    model: bytes = helper.make_model(
        graph, opset_imports=[opset], ir_version=8
    ).SerializeToString()
    return model
