"""The limit of arithmetic: the time the models' products take at the peak of fp32 or int8."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from vla_embeddings.models import Precision
from vla_embeddings.runtime import available_cpus, onnxruntime

# Large enough for the peak, small enough for its matrices to stay in a server's cache.
SIDE = 1536
REPEATS = 2

Product = Callable[[], object]


@dataclass(frozen=True, slots=True)
class GemmLimit:
    """The fastest product of two square matrices, measured anew at every turn.

    fp32: NumPy's (OpenBLAS) and ONNX Runtime's own (MLAS) both try, with all threads: which of
    them is faster depends on the processor. int8: ONNX Runtime's MatMulInteger, uint8 by int8.
    """

    name: str
    precision: Precision
    """Whose figures it bounds."""
    products: Callable[[], Sequence[Product]]
    operations: Callable[[slice], float]
    """Multiplications and additions of a part of the inputs."""

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        """Seconds that each part's operations take at the peak."""
        fastest = min(_seconds(product) for product in self.products() for _ in range(REPEATS))
        return [self.operations(part) * fastest / (2 * SIDE**3) for part in parts]


def gemm_limits(operations: Callable[[slice], float]) -> list[GemmLimit]:
    """The peaks of fp32 and of int8."""
    return [
        GemmLimit("sgemm peak", "fp32", _fp32_products, operations),
        GemmLimit("int8 GEMM peak", "int8", _int8_products, operations),
    ]


def _seconds(product: Product) -> float:
    start = time.perf_counter()
    product()
    return time.perf_counter() - start


@cache
def _fp32_products() -> Sequence[Product]:
    matrix: NDArray[np.float32] = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    mlas = _in_onnxruntime("MatMul", matrix, matrix, onnx.TensorProto.FLOAT)
    return (lambda: matrix @ matrix), mlas


@cache
def _int8_products() -> Sequence[Product]:
    generator = np.random.default_rng(0)
    left = generator.integers(0, 255, (SIDE, SIDE), np.uint8)
    right = generator.integers(-64, 64, (SIDE, SIDE), np.int8)
    return (_in_onnxruntime("MatMulInteger", left, right, onnx.TensorProto.INT32),)


def _in_onnxruntime(
    operator: str, left: NDArray[Any], right: NDArray[Any], product: int
) -> Product:
    """A graph of one product; its right side is constant, as weights are."""
    ort, helper = onnxruntime(), onnx.helper
    given = helper.np_dtype_to_tensor_dtype(left.dtype)
    graph = helper.make_graph(
        [helper.make_node(operator, ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", given, left.shape)],
        [helper.make_tensor_value_info("product", product, left.shape)],
        [onnx.numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"left": left})
