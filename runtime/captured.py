"""CUDA graphs: one launch instead of a hundred, for shapes that recur."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.errors import InferenceError
from vla_embeddings.runtime.gpu_options import MASK, Shape

# A captured run repeats the kernels of the plain one; fp16 sums may be ordered otherwise.
_TOLERANCE = 2e-3
_DTYPES = {"tensor(int64)": np.int64, "tensor(uint8)": np.uint8}

Inputs = Mapping[str, NDArray[Any]]
Where = Literal["cuda", "cpu"]


@dataclass(frozen=True, slots=True)
class _Capture:
    """Buffers of one shape that stay where they are, and the run bound to them."""

    shape: Shape
    inputs: Mapping[str, Any]
    output: Any
    binding: Any
    options: Any

    def run(self, session: Any, inputs: Inputs) -> NDArray[np.float32]:
        for name, buffer in self.inputs.items():
            buffer.update_inplace(_padded(inputs[name], self.shape))
        session.run_with_iobinding(self.binding, self.options)
        vectors: NDArray[np.float32] = self.output.numpy()
        return vectors.copy()  # on the CPU, it is the buffer itself


class CapturedSession:
    """An ONNX Runtime session that replays CUDA graphs for single inputs.

    An input no larger than a captured shape is padded to it with zeros, which the graphs of this
    library ignore; all others run as they are. `run` may be called from any thread, but replays
    on the one that made the session: ONNX Runtime keeps captures for each thread.

    Args:
        ort: the onnxruntime module.
        session: one whose provider may capture (`enable_cuda_graph`).
        shapes: of all inputs alike, smallest first, each captured now.
        where: the device of the buffers; the CPU runs without capturing.

    Raises:
        InferenceError: ONNX Runtime cannot capture, or a captured run computes other vectors than
            a plain one.
    """

    def __init__(
        self, ort: Any, session: Any, shapes: Sequence[Shape], where: Where = "cuda"
    ) -> None:
        self._session = session
        self._plain = _run_options(ort, -1)
        self._thread = threading.get_ident()
        try:
            self._captures = [
                self._capture(ort, shape, number, where) for number, shape in enumerate(shapes, 1)
            ]
            differences = {capture.shape: self._difference(capture) for capture in self._captures}
        except Exception as error:  # its exceptions share no base class of their own
            raise InferenceError(f"CUDA graphs cannot be captured: {error}") from error
        for shape, difference in differences.items():
            if not difference <= _TOLERANCE:  # nor is NaN
                raise InferenceError(
                    f"The CUDA graph of shape {shape} differs from the plain run by "
                    f"{difference:.1e}."
                )

    @property
    def captured_shapes(self) -> tuple[Shape, ...]:
        """Shapes that are replayed."""
        return tuple(capture.shape for capture in self._captures)

    def run(self, names: None, inputs: Inputs) -> Sequence[NDArray[np.float32]]:
        """The outputs, as `onnxruntime.InferenceSession.run` gives them."""
        shape = next(iter(inputs.values())).shape
        if threading.get_ident() == self._thread:
            for capture in self._captures:
                if _fits(shape, capture.shape):
                    return [capture.run(self._session, inputs)]
        outputs: Sequence[NDArray[np.float32]] = self._session.run(names, inputs, self._plain)
        return outputs

    def get_inputs(self) -> Any:
        """As the session's own."""
        return self._session.get_inputs()

    def get_outputs(self) -> Any:
        """As the session's own."""
        return self._session.get_outputs()

    def get_provider_graph_assignment_info(self) -> Any:
        """As the session's own."""
        return self._session.get_provider_graph_assignment_info()

    def _capture(self, ort: Any, shape: Shape, number: int, where: Where) -> _Capture:
        make = ort.OrtValue.ortvalue_from_shape_and_type
        inputs = {
            entry.name: make(list(shape), _DTYPES[entry.type], where)
            for entry in self._session.get_inputs()
        }
        [result] = self._session.get_outputs()
        output = make([1, result.shape[1]], np.float32, where)
        binding = self._session.io_binding()
        for name, buffer in inputs.items():
            binding.bind_ortvalue_input(name, buffer)
        binding.bind_ortvalue_output(result.name, output)
        return _Capture(shape, inputs, output, binding, _run_options(ort, number))

    def _difference(self, capture: _Capture) -> float:
        """Capture with one input, replay with another: the most that a plain run differs."""
        differences = []
        for value in (1, 2):
            inputs = {
                entry.name: np.full(capture.shape, value, _DTYPES[entry.type])
                for entry in self._session.get_inputs()
            }
            if MASK in inputs:
                # It counts the tokens: with 2, kernels would read past the end of the text.
                inputs[MASK][:] = np.arange(capture.shape[1]) < capture.shape[1] // value
            [plain] = self._session.run(None, inputs, self._plain)
            differences.append(np.abs(capture.run(self._session, inputs) - plain).max())
        return float(np.max(differences))


def _run_options(ort: Any, graph: int) -> Any:
    """For the graph of a number; -1 captures and replays none."""
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph))
    return options


def _fits(shape: Shape, captured: Shape) -> bool:
    return shape[0] == captured[0] and all(
        size <= most for size, most in zip(shape, captured, strict=True)
    )


def _padded(array: NDArray[Any], shape: Shape) -> NDArray[Any]:
    if array.shape == shape:
        return np.ascontiguousarray(array)
    padded = np.zeros(shape, array.dtype)
    padded[tuple(map(slice, array.shape))] = array
    return padded
