"""A stand-in for ONNX Runtime on a machine with CUDA: it runs every graph on the CPU."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from vla_embeddings.runtime import gpu_session, session
from vla_embeddings.runtime.providers import CPU, CUDA


@dataclass
class CudaRuntime:
    """Stands for the onnxruntime module of such a machine; notes what is asked of it."""

    comes: str = CUDA
    fails: str = ""
    captures: bool = True
    asked: list[Mapping[str, Mapping[str, str]]] = field(default_factory=list)
    graphs: list[str | bytes] = field(default_factory=list)
    __file__: str = onnxruntime.__file__
    __version__: str = "1.31.1"
    cuda_version: str = "13.0"

    SessionOptions = onnxruntime.SessionOptions
    ExecutionMode = onnxruntime.ExecutionMode
    RunOptions = onnxruntime.RunOptions

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
        self, graph: str | bytes, options: Any, *, providers: Any, enable_fallback: int
    ) -> Any:
        assert enable_fallback == 0
        wanted = dict(providers)
        self.asked.append(wanted)
        self.graphs.append(graph)
        if self.fails:
            raise RuntimeError(self.fails)
        if "enable_cuda_graph" in wanted.get(CUDA, {}) and not self.captures:
            raise RuntimeError("not all nodes are on CUDA")
        made = onnxruntime.InferenceSession(graph, options, providers=[CPU])
        made.get_providers = lambda: [self.comes, CPU]
        return made


def replace_onnxruntime(patch: pytest.MonkeyPatch) -> CudaRuntime:
    """Let sessions find the stand-in, with all of CUDA's libraries."""
    made = CudaRuntime()
    patch.setattr(session, "onnxruntime", lambda: made)
    patch.setattr(gpu_session, "find_missing_library", lambda *_: None)
    return made
