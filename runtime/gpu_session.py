"""ONNX Runtime sessions on a GPU, made so that nothing falls back in silence."""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.errors import InferenceError, ProviderUnavailable
from vla_embeddings.models import Artifact
from vla_embeddings.runtime.captured import CapturedSession
from vla_embeddings.runtime.diagnosis import (
    Fault,
    find_missing_cudnn,
    find_missing_library,
    unavailable,
)
from vla_embeddings.runtime.gpu import ignore_captures_elsewhere
from vla_embeddings.runtime.gpu_options import captured_shapes, cuda_options, profile
from vla_embeddings.runtime.libraries import load_libraries
from vla_embeddings.runtime.placement import heavy_operators, placement
from vla_embeddings.runtime.providers import CPU, CUDA, ProviderChoice

logger = logging.getLogger(__name__)

ONE_AT_A_TIME = threading.Lock()
"""Held by the thread that loads a model: each new session waits for the whole GPU, which CUDA
refuses while another thread captures, and the capture is lost."""


def open_gpu_session(ort: Any, artifact: Artifact, choice: ProviderChoice, options: Any) -> Any:
    """Load an artefact's graph, or its engine, on the GPU.

    Args:
        ort: the onnxruntime module.
        artifact: whose graph or engine it is.
        choice: CUDA, or TensorRT with an engine.
        options: `onnxruntime.SessionOptions`.

    Returns:
        What has `run`, `get_inputs` and `get_outputs` as `onnxruntime.InferenceSession` has.

    Raises:
        ProviderUnavailable: the first provider did not come up.
    """
    load_libraries(ort)
    with ONE_AT_A_TIME:
        return _open(ort, artifact, choice, options)


def _open(ort: Any, artifact: Artifact, choice: ProviderChoice, options: Any) -> Any:
    if choice.engine is not None:
        session = create(ort, str(choice.engine), options, choice, first_options={})
        return BoundedSession(session, profile(artifact.manifest).largest[0])
    graph = str(artifact.graph)
    try:
        session = create(ort, graph, options, choice, _cuda(choice, graphs=True))
        return CapturedSession(ort, session, captured_shapes(artifact.manifest.kind))
    except (ProviderUnavailable, InferenceError) as error:
        reason = str(error)  # not the error itself, whose frames would keep the session alive
    session = None  # or the GPU would hold the model twice
    session = create(ort, graph, options, choice, _cuda(choice, graphs=False))
    logger.warning("%s runs without CUDA graphs: %s", artifact.manifest.model, reason)
    return session


def create(
    ort: Any,
    graph: str | bytes,
    options: Any,
    choice: ProviderChoice,
    first_options: Mapping[str, str],
) -> Any:
    """A session whose first provider is really the one asked for.

    Args:
        ort: the onnxruntime module.
        graph: path of the graph, or a small one itself.
        options: `onnxruntime.SessionOptions` with `RECORD_PLACEMENT`.
        choice: the providers, best first.
        first_options: of the first provider.

    Raises:
        ProviderUnavailable: it did not come up, lacks cuDNN, or left products or attention to the
            CPU. Shapes may be computed there.
    """
    first, *others = choice.providers
    what = "a graph of one operator" if isinstance(graph, bytes) else graph
    ignore_captures_elsewhere()  # the thread that loads a model is the one that runs it
    providers = [(first, dict(first_options))]
    for name in others:
        providers.append((name, dict(_cuda(choice, graphs=False)) if name == CUDA else {}))
    try:
        # Without enable_fallback=0, it prints an error and goes on with the CPU.
        session = ort.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except Exception as error:  # its exceptions share no base class of their own
        raise _unavailable(ort, choice, f"ONNX Runtime could not load {what}: {error}") from error
    provider = session.get_providers()[0]
    if provider != first:
        raise _unavailable(ort, choice, f"{first} did not start and left the work to {provider}")
    if fault := find_missing_cudnn(choice.device):
        raise unavailable(choice.device, fault)
    if left := heavy_operators(placement(session).get(CPU, {})):
        operators = ", ".join(f"{count} {name}" for name, count in left.items())
        raise unavailable(
            choice.device,
            Fault(
                f"ONNX Runtime {ort.__version__} left {operators} of {what} to the CPU",
                "Export the model anew for a GPU, with --precision fp16",
            ),
        )
    return session


@dataclass(frozen=True, slots=True)
class BoundedSession:
    """A session whose engine takes so many rows at a time; larger batches are cut."""

    _session: Any
    rows: int

    def run(
        self, names: None, inputs: Mapping[str, NDArray[Any]]
    ) -> Sequence[NDArray[np.float32]]:
        """The outputs, as `onnxruntime.InferenceSession.run` gives them."""
        total = len(next(iter(inputs.values())))
        pieces = [
            self._session.run(
                names, {name: array[start : start + self.rows] for name, array in inputs.items()}
            )[0]
            for start in range(0, total, self.rows)
        ]
        return [pieces[0] if len(pieces) == 1 else np.concatenate(pieces)]

    def get_inputs(self) -> Any:
        """As the session's own."""
        return self._session.get_inputs()

    def get_outputs(self) -> Any:
        """As the session's own."""
        return self._session.get_outputs()

    def get_provider_graph_assignment_info(self) -> Any:
        """As the session's own."""
        return self._session.get_provider_graph_assignment_info()


def _cuda(choice: ProviderChoice, *, graphs: bool) -> Mapping[str, str]:
    return cuda_options(memory_limit_mb=choice.gpu_memory_limit_mb, graphs=graphs)


def _unavailable(ort: Any, choice: ProviderChoice, what: str) -> ProviderUnavailable:
    """The error, with the cause where the machine shows one."""
    fault = find_missing_library(ort, choice.device, choice.providers[0])
    if fault is None and choice.device == "cuda" and choice.gpu_memory_limit_mb is not None:
        limit = choice.gpu_memory_limit_mb
        fault = Fault(what, f"If memory ran out, EMBEDDING_GPU_MEMORY_LIMIT_MB={limit} is the cap")
    return unavailable(
        choice.device,
        fault or Fault(what, "`vla-embeddings doctor` shows what is installed"),
    )
