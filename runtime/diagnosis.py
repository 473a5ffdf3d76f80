"""Why a GPU cannot be had, and what to do about it."""

import ctypes
import re
from dataclasses import dataclass
from typing import Any

from vla_embeddings.config import Device
from vla_embeddings.errors import ProviderUnavailable
from vla_embeddings.runtime.gpu import find_gpu, why_no_gpu
from vla_embeddings.runtime.libraries import missing_cudnn, missing_library
from vla_embeddings.runtime.wheels import installed_wheels

# CUDA's release notes: the first driver for each major version.
_FIRST_DRIVERS = {12: "525", 13: "580"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason and its cure, each a clause without a full stop."""

    cause: str
    cure: str


def unavailable(device: Device, fault: Fault) -> ProviderUnavailable:
    """The error for a device that cannot be had."""
    return ProviderUnavailable(
        f"device={device!r}: {fault.cause}. {fault.cure}. Or use device='cpu'."
    )


def find_fault(ort: Any, device: Device, provider: str) -> Fault | None:
    """What on this machine keeps a provider from running; None where all is in place.

    Looks at wheels and driver, not at libraries: `find_missing_library` does, and loads them.

    Args:
        ort: the onnxruntime module.
        device: what was asked for.
        provider: ONNX Runtime's name of it.
    """
    extra = "tensorrt" if device == "tensorrt" else "gpu"
    if provider not in (available := ort.get_available_providers()):
        return _wrong_wheel(provider, available, extra)
    if reason := why_no_gpu():
        return Fault(f"no NVIDIA GPU can be used: {reason}", "nvidia-smi must list one")
    return _old_driver(ort)


def find_missing_library(ort: Any, device: Device, provider: str) -> Fault | None:
    """The library that a provider needs and this machine lacks; None where it has all."""
    words = missing_library(ort, provider)
    if not words:
        return None
    cause = f"{provider} cannot be loaded: {words}"
    if older := _older_major(words):
        cause += f" ({older} is there: ONNX Runtime {ort.__version__} wants CUDA {_cuda(ort)})"
    return _not_installed(device, cause)


def find_missing_cudnn(device: Device) -> Fault | None:
    """cuDNN, where it cannot be loaded; a session comes up without it, and fails at a call."""
    words = missing_cudnn()
    return _not_installed(device, f"cuDNN cannot be loaded: {words}") if words else None


def _not_installed(device: Device, cause: str) -> Fault:
    extra = "tensorrt" if device == "tensorrt" else "gpu"
    return Fault(cause, f"Install its libraries: pip install 'vla-embeddings[{extra}]'")


def _wrong_wheel(provider: str, available: list[str], extra: str) -> Fault:
    wheels = installed_wheels()
    if len(wheels) > 1:
        return Fault(
            f"{' and '.join(wheels)} are both installed and overwrite each other, so "
            f"{provider} is gone",
            f"pip uninstall {' '.join(wheels)}; then pip install 'vla-embeddings[{extra}]'",
        )
    wheel = next(iter(wheels), "onnxruntime")
    return Fault(
        f"it needs {provider}, and the wheel {wheel} has only {', '.join(available)}",
        f"pip uninstall {wheel}; then pip install 'vla-embeddings[{extra}]'",
    )


def _old_driver(ort: Any) -> Fault | None:
    gpu, wanted = find_gpu(), _cuda(ort)
    if gpu is None or wanted is None or gpu.cuda[0] >= wanted:
        return None
    return Fault(
        f"ONNX Runtime {ort.__version__} is built for CUDA {wanted}, and the driver "
        f"{gpu.driver} of the {gpu.name} runs CUDA up to {gpu.cuda[0]}.{gpu.cuda[1]}",
        f"Install NVIDIA's driver {_FIRST_DRIVERS.get(wanted, 'for it')} or newer",
    )


def _cuda(ort: Any) -> int | None:
    """The major version of CUDA that the wheel was built for; None for the CPU's."""
    version = str(ort.cuda_version or "")
    return int(version.partition(".")[0]) if version else None


def _older_major(words: str) -> str:
    """The same library of the major version before, where that one is installed."""
    found = re.match(r"(lib\w+\.so)\.(\d+)", words)
    if found is None:
        return ""
    older = f"{found[1]}.{int(found[2]) - 1}"
    try:
        ctypes.CDLL(older)
    except OSError:
        return ""
    return older
