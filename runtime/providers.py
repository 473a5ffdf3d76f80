"""Which of ONNX Runtime's execution providers runs a model."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from vla_embeddings.config import Device, PrecisionSetting
from vla_embeddings.errors import MissingDependency, ProviderUnavailable
from vla_embeddings.models import Precision

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

    def precision(self, wanted: PrecisionSetting) -> Precision:
        """The precision to load: fp16 on a GPU and fp32 on a CPU where the setting is auto."""
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


def choose_providers(device: Device, available: Collection[str]) -> ProviderChoice:
    """Turn the device setting into providers.

    Args:
        device: `auto` takes CUDA where ONNX Runtime has it, else the CPU.
        available: `onnxruntime.get_available_providers()`.

    Raises:
        ProviderUnavailable: a GPU was asked for by name and this ONNX Runtime has no such
            provider.
    """
    if device == "auto":
        device = "cuda" if CUDA in available else "cpu"
    chain = _CHAINS[device]
    if chain[0] not in available:
        extra = "gpu" if device == "cuda" else "tensorrt"
        raise ProviderUnavailable(
            f"device={device!r} needs {chain[0]}, and this ONNX Runtime has only "
            f"{', '.join(available)}. Remove onnxruntime and install the GPU wheel: pip "
            f"uninstall onnxruntime && pip install 'vla-embeddings[{extra}]'. Or use device='cpu'."
        )
    return ProviderChoice(device, chain)
