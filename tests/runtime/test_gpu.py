"""The driver is asked for the GPU, and its refusals are put into words."""

from pathlib import Path

import pytest

from tests.runtime.nvidia import Driver
from vla_embeddings.runtime import gpu
from vla_embeddings.runtime.gpu import Gpu, find_gpu, why_no_gpu

CLOSED = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\n"
)
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"


@pytest.mark.parametrize(("text", "version"), [(CLOSED, "550.54.14"), (OPEN, "580.65.06")])
def test_a_gpu_is_described_by_its_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, version: str
) -> None:
    (tmp_path / "version").write_text(text)
    monkeypatch.setattr(gpu, "_load_driver", Driver)
    monkeypatch.setattr(gpu, "_DRIVER_VERSION", tmp_path / "version")

    assert find_gpu() == Gpu("NVIDIA Test GPU", "9.1", 132, version, (13, 2))
    assert why_no_gpu() == ""


def test_a_container_that_hides_the_drivers_version_leaves_it_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gpu, "_load_driver", Driver)
    monkeypatch.setattr(gpu, "_DRIVER_VERSION", tmp_path / "version")

    found = find_gpu()

    assert found is not None
    assert found.driver == "unknown"


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (Driver(gpus=0), "CUDA_VISIBLE_DEVICES"),
        (Driver(error=803), "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)"),
    ],
)
def test_a_driver_without_a_gpu_says_why(
    monkeypatch: pytest.MonkeyPatch, driver: Driver, words: str
) -> None:
    monkeypatch.setattr(gpu, "_load_driver", lambda: driver)

    assert find_gpu() is None
    assert words in why_no_gpu()


def test_a_machine_without_the_driver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_DRIVER", "libnot-cuda.so.1")

    assert find_gpu() is None
    assert "driver is not installed" in why_no_gpu()
    assert "libnot-cuda.so.1: cannot open" in why_no_gpu()
