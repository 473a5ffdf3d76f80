"""The device setting becomes providers that are there, or an error with the cure."""

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from vla_embeddings.config import Device, PrecisionSetting
from vla_embeddings.errors import MissingDependency, ProviderUnavailable
from vla_embeddings.models import Precision
from vla_embeddings.runtime import providers
from vla_embeddings.runtime.providers import CPU, CUDA, TENSORRT, choose_providers

CPU_WHEEL = [CPU]
GPU_WHEEL = [TENSORRT, CUDA, CPU]
Machine = Callable[[list[str], int], None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Sets which providers ONNX Runtime was built with, and the number of GPUs."""

    def set_up(available: list[str], gpus: int) -> None:
        fake = SimpleNamespace(get_available_providers=lambda: available)
        monkeypatch.setattr(providers, "onnxruntime", lambda: fake)
        monkeypatch.setattr(providers, "cuda_devices", lambda: gpus)

    return set_up


@pytest.mark.parametrize(
    ("available", "gpus", "device", "chosen"),
    [
        (CPU_WHEEL, 0, "auto", (CPU,)),
        (CPU_WHEEL, 1, "auto", (CPU,)),
        (CPU_WHEEL, 1, "cpu", (CPU,)),
        (GPU_WHEEL, 0, "auto", (CPU,)),
        (GPU_WHEEL, 0, "cpu", (CPU,)),
        (GPU_WHEEL, 1, "cpu", (CPU,)),
        (GPU_WHEEL, 1, "cuda", (CUDA, CPU)),
        (GPU_WHEEL, 1, "tensorrt", (TENSORRT, CUDA, CPU)),
    ],
)
def test_a_device_becomes_providers_best_first(
    machine: Machine, available: list[str], gpus: int, device: Device, chosen: tuple[str, ...]
) -> None:
    machine(available, gpus)

    assert choose_providers(device).providers == chosen


def test_auto_takes_a_gpu_that_is_there(machine: Machine) -> None:
    machine(GPU_WHEEL, 1)

    assert choose_providers("auto").device != "cpu"


@pytest.mark.parametrize(
    ("available", "gpus", "device", "cure"),
    [
        (CPU_WHEEL, 1, "cuda", r"pip install 'vla-embeddings\[gpu\]'"),
        (CPU_WHEEL, 1, "tensorrt", r"pip install 'vla-embeddings\[tensorrt\]'"),
        ([CUDA, CPU], 1, "tensorrt", r"pip install 'vla-embeddings\[tensorrt\]'"),
        (GPU_WHEEL, 0, "cuda", "the driver shows none"),
        (GPU_WHEEL, 0, "tensorrt", "the driver shows none"),
    ],
)
def test_a_gpu_asked_for_by_name_is_never_replaced_in_silence(
    machine: Machine, available: list[str], gpus: int, device: Device, cure: str
) -> None:
    machine(available, gpus)

    with pytest.raises(ProviderUnavailable, match=rf"device='{device}'.*{cure}.*device='cpu'"):
        choose_providers(device)


def test_this_machines_cpu_can_always_be_had() -> None:
    assert choose_providers("cpu") == providers.CPU_CHOICE


@pytest.mark.parametrize(
    ("device", "wanted", "precision"),
    [
        ("cpu", "auto", "fp32"),
        ("cuda", "auto", "fp16"),
        ("cpu", "int8", "int8"),
        ("cpu", "fp16", "fp16"),
        ("cuda", "fp32", "fp32"),
    ],
)
def test_auto_precision_is_fp32_on_a_cpu_fp16_on_a_gpu_and_never_int8(
    device: Device, wanted: PrecisionSetting, precision: Precision
) -> None:
    choice = providers.ProviderChoice(device, (CPU,))

    assert choice.precision(wanted) == precision


def test_without_onnxruntime_both_extras_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(MissingDependency, match=r"vla-embeddings\[cpu\].*vla-embeddings\[gpu\]"):
        choose_providers("auto")
