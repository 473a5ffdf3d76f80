"""Which of ONNX Runtime's execution providers runs a model."""

from dataclasses import dataclass
from typing import Any

from vla_embeddings.config import Device, PrecisionSetting
from vla_embeddings.errors import MissingDependency, ProviderUnavailable
from vla_embeddings.models import Precision
from vla_embeddings.runtime.gpu import cuda_devices

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


def choose_providers(device: Device) -> ProviderChoice:
    """Turn the device setting into providers that this machine has.

    `auto` takes the GPU where ONNX Runtime has its CUDA provider and the driver shows a GPU,
    else the CPU.

    Raises:
        ProviderUnavailable: a GPU was asked for by name and cannot be had; the message names the
            reason and the cure.
        MissingDependency: ONNX Runtime is not installed.
    """
    available: list[str] = onnxruntime().get_available_providers()
    if device == "auto":
        device = "cuda" if CUDA in available and cuda_devices() > 0 else "cpu"
    chain = _CHAINS[device]
    if chain[0] not in available:
        extra = "tensorrt" if device == "tensorrt" else "gpu"
        raise ProviderUnavailable(
            f"device={device!r} needs {chain[0]}, and this ONNX Runtime has only "
            f"{', '.join(available)}. Remove onnxruntime and install the GPU wheel: pip "
            f"uninstall onnxruntime && pip install 'vla-embeddings[{extra}]'. Or use device='cpu'."
        )
    if device != "cpu" and cuda_devices() == 0:
        raise ProviderUnavailable(
            f"device={device!r} needs an NVIDIA GPU, and the driver shows none: it is not "
            "installed, or hidden from this process (CUDA_VISIBLE_DEVICES, or a container "
            "without --gpus). Or use device='cpu'."
        )
    return ProviderChoice(device, chain)
