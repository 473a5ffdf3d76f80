"""Running a graph as it is, without an artefact around it."""

from collections.abc import Mapping

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto


def run(graph: ModelProto, feeds: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.float32]]:
    """The graph's outputs on the CPU."""
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return [np.asarray(output) for output in session.run(None, feeds)]
