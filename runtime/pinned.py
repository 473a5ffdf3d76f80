"""A session that lives on one thread of its own."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray


class PinnedSession:
    """An ONNX Runtime session that is made and run on one thread, whoever calls.

    A GPU runs one batch after the other anyway, while each thread that reaches CUDA costs GPU
    memory (ONNX Runtime keeps cuBLAS handles and CUDA graphs for each). The thread ends when
    nobody holds the session any more.

    Args:
        make: returns the session; what it raises is raised here.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._thread = ThreadPoolExecutor(1, "vla-embeddings-gpu")
        self._session = self._thread.submit(make).result()

    def run(
        self, names: None, inputs: Mapping[str, NDArray[Any]]
    ) -> Sequence[NDArray[np.float32]]:
        """The outputs, as `onnxruntime.InferenceSession.run` gives them."""
        outputs: Sequence[NDArray[np.float32]]
        outputs = self._thread.submit(self._session.run, names, inputs).result()
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
