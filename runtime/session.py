"""One ONNX Runtime session per model, made so that nothing falls back in silence."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.errors import ArtifactDamaged, EmbeddingError, InferenceError
from vla_embeddings.models import Artifact
from vla_embeddings.runtime.gpu_session import open_gpu_session
from vla_embeddings.runtime.placement import RECORD_PLACEMENT, Placement, placement
from vla_embeddings.runtime.providers import ProviderChoice, onnxruntime
from vla_embeddings.runtime.thread_errors import no_thread
from vla_embeddings.runtime.threads import priority

SPIN_US = 20
"""How long a thread of a session looks for more work before it sleeps, in microseconds.

Long enough to bridge the gap between two operators, too short to burn a core after the call.
docs/adr/0014-cpu-graphs.md has the measurements.
"""

# It would undo what `vla_embeddings.export.layer_norm` does.
_SLOWER_ON_CPU = ["SkipLayerNormFusion"]


@dataclass(frozen=True, slots=True)
class Session:
    """A loaded graph. `run` may be called from any thread."""

    _session: Any
    provider: str
    """The provider that runs it."""

    @classmethod
    def load(cls, artifact: Artifact, choice: ProviderChoice, *, threads: int) -> "Session":
        """Check an artefact and load its graph.

        Args:
            artifact: what to load.
            choice: the providers to ask for.
            threads: CPU threads that one call uses.

        Raises:
            ArtifactDamaged: its files are not what the manifest says, or not a graph.
            InferenceError: memory or threads do not suffice for it.
            ProviderUnavailable: the first provider did not come up.
        """
        ort = onnxruntime()
        options = _options(ort, threads)
        opened = _open_cpu_session if choice.device == "cpu" else open_gpu_session
        with _verifying(artifact):
            session = opened(ort, artifact, choice, options)
        return cls(session, choice.providers[0])

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the graph's inputs."""
        return tuple(entry.name for entry in self._session.get_inputs())

    @property
    def dimension(self) -> int:
        """Length of the graph's vectors."""
        return cast(int, self._session.get_outputs()[0].shape[1])

    def placement(self) -> Placement:
        """Which provider runs which of the graph's operators."""
        return placement(self._session)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The graph's first output.

        Raises:
            InferenceError: ONNX Runtime failed.
        """
        try:
            outputs: Sequence[NDArray[np.float32]] = self._session.run(None, inputs)
        except Exception as error:  # its exceptions share no base class of their own
            shapes = {name: array.shape for name, array in inputs.items()}
            raise InferenceError(f"{self.provider} failed on inputs {shapes}: {error}") from error
        return outputs[0]


@contextmanager
def _verifying(artifact: Artifact) -> Iterator[None]:
    """Compare the artefact with its manifest meanwhile; what is wrong there goes before all else.

    The digests of all files take as long as half of the rest.
    """
    before, faults = artifact.inodes(), list[Exception]()

    def verify() -> None:
        try:
            artifact.verify()
        except Exception as error:
            faults.append(error)

    thread = threading.Thread(target=verify, name="vla-verify")
    try:
        thread.start()
    except RuntimeError as error:
        raise no_thread(error) from error
    try:
        yield
    finally:
        thread.join()
        if faults:
            raise faults[0]
    if artifact.inodes() != before:
        # Each file was read at a moment of its own: graph and weights may be of two exports.
        raise ArtifactDamaged(
            f"{artifact.folder} was exported anew while it was loaded. Try again"
        )


def _open_cpu_session(ort: Any, artifact: Artifact, choice: ProviderChoice, options: Any) -> Any:
    try:
        return ort.InferenceSession(
            str(artifact.graph),
            options,
            providers=list(choice.providers),
            disabled_optimizers=_SLOWER_ON_CPU,
            enable_fallback=0,  # it would print, and try the same provider again
        )
    except Exception as error:  # as above
        raise _not_loaded(artifact, error) from error


def _not_loaded(artifact: Artifact, error: Exception) -> EmbeddingError:
    """The graph's fault, or the machine's; where it has too little memory, either class comes."""
    what = f"ONNX Runtime cannot load {artifact.graph}: {error}. "
    if type(error).__name__ == "RuntimeException" or "std::bad_alloc" in str(error):
        return InferenceError(
            f"{what}The file is as it was exported. Free memory and threads, or raise the limits "
            "that the process or its container has of them."
        )
    return ArtifactDamaged(f"{what}Make it anew: {artifact.remedy}")


def _options(ort: Any, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(SPIN_US))
    if places := _places(threads):
        options.add_session_config_entry("session.intra_op_thread_affinities", places)
    options.add_session_config_entry(RECORD_PLACEMENT, "1")
    # A plan is kept for every shape ever seen, which grows without end on mixed lengths.
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors; a fallback is an error of ours
    return options


def _places(threads: int) -> str:
    """A CPU for each thread but the caller's, in ONNX Runtime's form; none where they may move.

    A kernel may wake a thread on its waker's CPU while another idles. But fewer threads than CPUs
    may share them with others of their kind, and those of low priority keep out of the way.
    """
    cpus = sorted(os.sched_getaffinity(0))
    if threads != len(cpus) or priority() > 0:
        return ""
    return ";".join(str(cpu + 1) for cpu in cpus[1:])  # it counts from 1
