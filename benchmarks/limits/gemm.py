"""The limit of arithmetic: the time the models' products take at the peak of a precision."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.harness import SETTLE_SECONDS
from benchmarks.results import Unit
from benchmarks.targets import GPU_PRECISIONS
from vla_embeddings.models import Precision
from vla_embeddings.runtime import available_cpus, onnxruntime
from vla_embeddings.runtime.gpu_options import cuda_options
from vla_embeddings.runtime.libraries import load_libraries
from vla_embeddings.runtime.providers import CPU, CUDA

# Large enough for the peak, small enough for its matrices to stay in a server's cache.
SIDE = 1536
# A GPU is at its peak with larger ones, and would else be waited for longer than it works.
GPU_SIDE = 8192
SECONDS = 0.08
"""Of trying each product at one turn."""

Product = Callable[[], object]


@dataclass(frozen=True, slots=True)
class GemmLimit:
    """The fastest product of two square matrices, measured anew at every turn.

    On a CPU, for fp32 NumPy's (OpenBLAS) and ONNX Runtime's own (MLAS) both try, with all threads:
    which of them is faster depends on the processor. For int8, ONNX Runtime's MatMulInteger, uint8
    by int8. On a GPU, ONNX Runtime's (cuBLAS) of matrices that stay there, fp32 without TF32.
    """

    name: str
    precisions: Sequence[Precision]
    """Those whose figures it bounds."""
    side: int
    products: Callable[[], Sequence[Product]]
    operations: Callable[[slice], float]
    """Multiplications and additions of a part of the inputs."""
    unit: Unit = "GFLOP/s"

    @property
    def figure(self) -> str:
        """The machine's own."""
        return self.name

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        """Seconds that each part's operations take at the peak."""
        fastest = min(_tries(self.products()))
        return [self.operations(part) * fastest / (2 * self.side**3) for part in parts]

    def amount(self, part: slice) -> float:
        """Of operations, in thousands of millions."""
        return self.operations(part) / 1e9


def gemm_limits(operations: Callable[[slice], float], *, on_gpu: bool) -> list[GemmLimit]:
    """The peaks of fp32 and of the precision below it."""
    if on_gpu:
        single, half = partial(_gpu_products, "float32"), partial(_gpu_products, "float16")
        return [
            GemmLimit("sgemm peak", ["fp32"], GPU_SIDE, single, operations),
            GemmLimit("fp16 GEMM peak", GPU_PRECISIONS, GPU_SIDE, half, operations),
        ]
    return [
        GemmLimit("sgemm peak", ["fp32"], SIDE, _fp32_products, operations),
        GemmLimit("int8 GEMM peak", ["int8"], SIDE, _int8_products, operations, "GOP/s"),
    ]


def _tries(products: Sequence[Product]) -> Iterator[float]:
    """Seconds of each product, one after the other, each for a while."""
    for product in products:
        time.sleep(SETTLE_SECONDS)  # the threads of the one before may still spin
        began = time.perf_counter()
        while True:
            start = time.perf_counter()
            product()
            end = time.perf_counter()
            yield end - start
            if end - began > SECONDS:
                break


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
    """On the CPU, with a right side that is constant, as weights are."""
    ort, given = onnxruntime(), onnx.helper.np_dtype_to_tensor_dtype(left.dtype)
    constant = onnx.numpy_helper.from_array(right, "right")
    model = _graph(operator, {"left": given}, product, left.shape, [constant])
    options = ort.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = ort.InferenceSession(model, options, providers=[CPU])
    return lambda: session.run(None, {"left": left})


@cache
def _gpu_products(dtype: str) -> Sequence[Product]:
    """Of matrices that lie on the GPU, and whose product stays there."""
    ort, shape = onnxruntime(), (GPU_SIDE, GPU_SIDE)
    load_libraries(ort)
    matrix = np.random.default_rng(0).random(shape, np.float32).astype(dtype)
    number = onnx.helper.np_dtype_to_tensor_dtype(matrix.dtype)
    model = _graph("MatMul", {"left": number, "right": number}, number, shape, [])
    session = ort.InferenceSession(
        model,
        ort.SessionOptions(),
        providers=[(CUDA, dict(cuda_options(memory_limit_mb=None, graphs=False)))],
        enable_fallback=0,
    )
    binding = session.io_binding()
    given = ort.OrtValue.ortvalue_from_numpy(matrix, "cuda")
    for name in ("left", "right"):
        binding.bind_ortvalue_input(name, given)
    result = ort.OrtValue.ortvalue_from_shape_and_type(list(shape), matrix.dtype, "cuda")
    binding.bind_ortvalue_output("product", result)
    return (lambda: session.run_with_iobinding(binding),)


def _graph(
    operator: str,
    inputs: Mapping[str, int],
    product: int,
    shape: tuple[int, ...],
    constants: Sequence[onnx.TensorProto],
) -> bytes:
    """Of one product of `left` and `right`, all of one shape."""
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node(operator, ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info(name, number, shape) for name, number in inputs.items()],
        [helper.make_tensor_value_info("product", product, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    serialized: bytes = model.SerializeToString()
    return serialized
