"""Which of ONNX Runtime's execution providers runs a model."""

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vla_embeddings.config import Device, PrecisionSetting
from vla_embeddings.errors import ConfigurationError, MissingDependency
from vla_embeddings.models import Precision
from vla_embeddings.runtime.diagnosis import find_fault, unavailable

logger = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

_CHAINS: dict[Device, tuple[str, ...]] = {
    "cpu": (CPU,),
    "cuda": (CUDA, CPU),
    "tensorrt": (TENSORRT, CUDA, CPU),
}


@dataclass(frozen=True, slots=True)
class ProviderChoice:
    """The providers a session asks for, best first; the first one must really come."""

    device: Device
    providers: tuple[str, ...]
    engine: Path | None = None
    """TensorRT's compiled form of the graph, which is loaded in its place."""
    gpu_memory_limit_mb: int | None = None
    """Most MiB of CUDA's arena for one model's weights and activations; None is no limit.

    TensorRT allocates by itself what its engine was built with, and heeds none.
    """

    def precision(self, wanted: PrecisionSetting) -> Precision:
        """The precision to load: fp16 on a GPU and fp32 on a CPU where the setting is auto.

        Raises:
            ConfigurationError: TensorRT is to run another precision than fp16, or a GPU int8.
        """
        if self.device == "tensorrt":
            if wanted not in ("auto", "fp16"):
                raise ConfigurationError(
                    f"precision={wanted!r}: TensorRT runs fp16 alone. Expected 'auto' or 'fp16', "
                    "or device='cuda'."
                )
            return "fp16-tensorrt"
        if wanted == "int8" and self.device != "cpu":
            raise ConfigurationError(
                "precision='int8': its graphs are for CPUs. Expected 'auto', 'fp16' or 'fp32', "
                "or device='cpu'."
            )
        if wanted != "auto":
            return wanted
        return "fp32" if self.device == "cpu" else "fp16"


CPU_CHOICE = ProviderChoice("cpu", (CPU,))


def onnxruntime() -> Any:
    """The onnxruntime module, imported on first use.

    Raises:
        MissingDependency: neither wheel of it is installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency(
            f"ONNX Runtime cannot be imported ({error}). Install one of its wheels, not both: "
            "pip install 'vla-embeddings[cpu]' or 'vla-embeddings[gpu]'."
        ) from error
    return onnxruntime


def choose_providers(device: Device) -> ProviderChoice:
    """Turn the device setting into providers that this machine has.

    `auto` is CUDA where ONNX Runtime has its provider and the driver a GPU that it can use, else
    the CPU; `selection.select` prefers TensorRT to CUDA, for models that have an engine.

    Raises:
        ProviderUnavailable: a GPU was asked for by name and cannot be had; the message names the
            reason and the cure.
        MissingDependency: ONNX Runtime is not installed.
    """
    ort = onnxruntime()
    if device == "auto":
        return _choose_for_auto(ort)
    chain = _CHAINS[device]
    if device != "cpu" and (fault := find_fault(ort, device, chain[0])):
        raise unavailable(device, fault)
    return ProviderChoice(device, chain)


def _choose_for_auto(ort: Any) -> ProviderChoice:
    if CUDA not in ort.get_available_providers():
        return CPU_CHOICE
    if fault := find_fault(ort, "cuda", CUDA):
        _warn_once(f"Using the CPU: {fault.cause}. {fault.cure}.")
        return CPU_CHOICE
    return ProviderChoice("cuda", _CHAINS["cuda"])


@cache
def _warn_once(message: str) -> None:
    # Each lane chooses, and may again; a machine's fault stays the same.
    logger.warning(message)
