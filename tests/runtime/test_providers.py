"""The device setting becomes providers that are there, or an error with the cure."""

import sys
from collections.abc import Callable

import pytest

from tests.runtime.nvidia import CPU_WHEEL, GPU_WHEEL, Driver, fake_ort
from vla_embeddings.config import Device, PrecisionSetting
from vla_embeddings.errors import ConfigurationError, MissingDependency, ProviderUnavailable
from vla_embeddings.models import Precision
from vla_embeddings.runtime import diagnosis, gpu, providers
from vla_embeddings.runtime.providers import CPU, CUDA, TENSORRT, choose_providers

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Sets which providers ONNX Runtime was built with, the GPUs and the newest CUDA."""

    def set_up(available: list[str], gpus: int, *, cuda: int = 13000) -> None:
        monkeypatch.setattr(providers, "onnxruntime", lambda: fake_ort(available))
        monkeypatch.setattr(gpu, "_load_driver", lambda: Driver(gpus=gpus, cuda=cuda))

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


def test_a_driver_too_old_for_the_wheels_cuda_names_the_one_to_install(machine: Machine) -> None:
    machine(GPU_WHEEL, 1, cuda=12040)

    with pytest.raises(
        ProviderUnavailable,
        match=r"built for CUDA 13, .* CUDA up to 12\.4\. .*driver 580 or newer",
    ):
        choose_providers("cuda")


def test_auto_leaves_a_gpu_whose_driver_is_too_old(machine: Machine) -> None:
    machine(GPU_WHEEL, 1, cuda=12040)

    assert choose_providers("auto") == providers.CPU_CHOICE


def test_auto_warns_once_of_a_gpu_that_it_leaves(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Each model of a service chooses for itself."""
    machine(GPU_WHEEL, 1, cuda=12040)
    providers._warn_once.cache_clear()

    for _ in range(3):
        choose_providers("auto")

    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "driver 580 or newer" in record.message


def test_auto_is_silent_where_the_wheel_is_the_cpus(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    machine(CPU_WHEEL, 1)

    choose_providers("auto")

    assert caplog.records == []


def test_two_wheels_that_overwrite_each_other_are_both_to_be_removed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(CPU_WHEEL, 1)
    both = {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"}
    monkeypatch.setattr(diagnosis, "installed_wheels", lambda: both)

    with pytest.raises(
        ProviderUnavailable, match=r"overwrite each other.*uninstall onnxruntime onnxruntime-gpu;"
    ):
        choose_providers("cuda")


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
        ("tensorrt", "auto", "fp16-tensorrt"),
        ("tensorrt", "fp16", "fp16-tensorrt"),
    ],
)
def test_auto_precision_is_fp32_on_a_cpu_fp16_on_a_gpu_and_never_int8(
    device: Device, wanted: PrecisionSetting, precision: Precision
) -> None:
    choice = providers.ProviderChoice(device, (CPU,))

    assert choice.precision(wanted) == precision


def test_int8_is_for_cpus() -> None:
    with pytest.raises(ConfigurationError, match=r"precision='int8'.*device='cpu'"):
        providers.ProviderChoice("cuda", (CUDA, CPU)).precision("int8")


@pytest.mark.parametrize("wanted", ["fp32", "int8"])
def test_tensorrt_runs_fp16_alone(wanted: PrecisionSetting) -> None:
    choice = providers.ProviderChoice("tensorrt", (TENSORRT, CUDA, CPU))

    with pytest.raises(ConfigurationError, match=f"precision='{wanted}'.*device='cuda'"):
        choice.precision(wanted)


def test_without_onnxruntime_both_extras_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(MissingDependency, match=r"vla-embeddings\[cpu\].*vla-embeddings\[gpu\]"):
        choose_providers("auto")
