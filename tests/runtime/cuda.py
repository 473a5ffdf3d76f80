"""A stand-in for ONNX Runtime on a machine with CUDA: it runs every graph on the CPU."""

import gc
import weakref
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from tests.runtime.nvidia import GPU_WHEEL, Driver, fake_ort
from vla_embeddings.runtime import gpu, gpu_session, providers, selection, session
from vla_embeddings.runtime.providers import CPU, CUDA


@dataclass
class CudaRuntime:
    """Stands for the onnxruntime module of such a machine; notes what is asked of it."""

    comes: str = ""
    """The provider that comes up; the one asked for where it is empty."""
    fails: str = ""
    captures: bool = True
    """Whether a session that may capture CUDA graphs comes up."""
    bound_runs_fail: str = ""
    """With this message, those that capture or replay."""
    leaves: Collection[str] = ("Shape", "Gather", "Unsqueeze")
    """Operators that are left to the CPU."""
    asked: list[Mapping[str, Mapping[str, str]]] = field(default_factory=list)
    graphs: list[str | bytes] = field(default_factory=list)
    beside: list[int] = field(default_factory=list)
    """How many sessions were there when each one was made."""
    _alive: "weakref.WeakSet[Any]" = field(default_factory=weakref.WeakSet)
    __file__: str = onnxruntime.__file__
    __version__: str = "1.31.1"
    cuda_version: str = "13.0"

    SessionOptions = onnxruntime.SessionOptions
    ExecutionMode = onnxruntime.ExecutionMode
    RunOptions = onnxruntime.RunOptions

    def get_available_providers(self) -> list[str]:
        """Of the wheel for GPUs."""
        return GPU_WHEEL

    def preload_dlls(self) -> None:
        """As ONNX Runtime's; the CPU needs none."""

    @property
    def OrtValue(self) -> Any:
        """Buffers on the CPU, whatever device is asked for."""
        real = onnxruntime.OrtValue
        return SimpleNamespace(
            ortvalue_from_numpy=lambda array, device: real.ortvalue_from_numpy(array, "cpu"),
            ortvalue_from_shape_and_type=lambda shape, dtype, device: (
                real.ortvalue_from_shape_and_type(shape, dtype, "cpu")
            ),
        )

    def InferenceSession(
        self,
        graph: str | bytes,
        options: Any,
        *,
        providers: Any,
        enable_fallback: int,
        disabled_optimizers: list[str] | None = None,
    ) -> Any:
        assert enable_fallback == 0
        if providers == [CPU]:
            return onnxruntime.InferenceSession(
                graph, options, providers, disabled_optimizers=disabled_optimizers
            )
        wanted = dict(providers)
        self.asked.append(wanted)
        self.graphs.append(graph)
        gc.collect()
        self.beside.append(len(self._alive))
        if self.fails:
            raise RuntimeError(self.fails)
        if "enable_cuda_graph" in wanted.get(CUDA, {}) and not self.captures:
            raise RuntimeError("not all nodes are on CUDA")
        made = onnxruntime.InferenceSession(graph, options, providers=[CPU])
        self._alive.add(made)
        provider = self.comes or next(iter(wanted))
        made.get_providers = lambda: [provider, CPU]
        made.run_with_iobinding = self._bound(made.run_with_iobinding)
        record = made.get_provider_graph_assignment_info
        made.get_provider_graph_assignment_info = lambda: self._placed(record(), provider)
        return made

    def _bound(self, run: Callable[..., None]) -> Callable[..., None]:
        def run_or_fail(*arguments: Any) -> None:
            if self.bound_runs_fail:
                raise Fail(self.bound_runs_fail)
            run(*arguments)

        return run_or_fail

    def _placed(self, info: Any, provider: str) -> list[SimpleNamespace]:
        """ONNX Runtime's record of a graph as the GPU's provider would be in it."""
        nodes = [node for subgraph in info for node in subgraph.get_nodes()]
        here = [node for node in nodes if node.op_type not in self.leaves]
        left = [node for node in nodes if node.op_type in self.leaves]
        return [
            SimpleNamespace(ep_name=provider, get_nodes=lambda: here),
            SimpleNamespace(ep_name=CPU, get_nodes=lambda: left),
        ]


def replace_onnxruntime(patch: pytest.MonkeyPatch) -> CudaRuntime:
    """Let sessions find the stand-ins of ONNX Runtime and the driver, with all libraries."""
    made = CudaRuntime()
    patch.setattr(gpu, "_load_driver", Driver)
    patch.setattr(session, "onnxruntime", lambda: made)
    patch.setattr(gpu_session, "find_missing_library", lambda *_: None)
    patch.setattr(gpu_session, "find_missing_cudnn", lambda _: None)
    return made


def gpu_machine(patch: pytest.MonkeyPatch) -> CudaRuntime:
    """Stand-ins for all that choosing and running a GPU asks: driver, wheel and sessions."""
    patch.setattr(providers, "onnxruntime", lambda: fake_ort(GPU_WHEEL))
    return replace_onnxruntime(patch)


def with_engines(patch: pytest.MonkeyPatch) -> None:
    """TensorRT, and an engine of every model exported for it; the graph itself stands for it."""
    patch.setattr(selection, "this_platform", lambda: None)
    patch.setattr(selection, "find_engine", lambda artifact, platform: artifact.graph)
