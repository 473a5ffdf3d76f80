"""A stand-in for NVIDIA's driver, for machines without one."""

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from vla_embeddings.runtime.providers import CPU, CUDA, TENSORRT

CPU_WHEEL = [CPU]
GPU_WHEEL = [TENSORRT, CUDA, CPU]


@dataclass(frozen=True)
class Driver:
    """The functions of libcuda.so.1 that are called, with its calling conventions."""

    gpus: int = 1
    error: int = 0
    cuda: int = 13020
    capture_modes: dict[int, int] = field(default_factory=dict)
    """Of the threads that set one, by their identifiers."""

    def cuInit(self, flags: int) -> int:
        return self.error

    def cuGetErrorName(self, code: int, name: Any) -> int:
        name._obj.value = b"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.gpus
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:
        device._obj.value = 40 + number
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = self.cuda
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        assert device.value == 40
        name.value = b"NVIDIA Test GPU"
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:
        value._obj.value = {75: 9, 76: 1, 16: 132}[attribute]
        return 0

    def cuThreadExchangeStreamCaptureMode(self, mode: Any) -> int:
        self.capture_modes[threading.get_ident()] = mode._obj.value
        return 0


def fake_ort(available: list[str]) -> Any:
    """The onnxruntime module of a wheel, as far as choosing a provider asks it."""
    return SimpleNamespace(
        get_available_providers=lambda: available,
        __version__="1.31.1",
        cuda_version="13.0" if CUDA in available else "",
    )
