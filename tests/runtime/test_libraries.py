"""A library that is there but broken is named, and keeps no other from being loaded."""

import ctypes
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.runtime.nvidia import GPU_WHEEL, Driver, fake_ort
from vla_embeddings.errors import ProviderUnavailable
from vla_embeddings.runtime import gpu, selection
from vla_embeddings.runtime.libraries import load_libraries, missing_cudnn, missing_library
from vla_embeddings.runtime.providers import CUDA, TENSORRT

TRUNCATED = b"\x7fELF\x02\x01\x01"


def _ort() -> Any:
    ort = fake_ort(GPU_WHEEL)
    ort.__file__ = "/wheels/onnxruntime/__init__.py"
    ort.preload_dlls = lambda: print("Failed to load libcublas.so.13")
    return ort


CUDA_WHEELS = (
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcublasLt.so.13",
    "nvidia/cu13/lib/libcublas.so.13",
    "nvidia/cu13/lib/libnvrtc.so.13",
    "nvidia/cu13/lib/libcurand.so.10",
    "nvidia/cu13/lib/libcufft.so.12",
    "nvidia/cudnn/lib/libcudnn.so.9",
)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the wheels of CUDA and TensorRT are, each library cut short."""
    find_spec = importlib.util.find_spec

    def in_folder(name: str) -> Any:
        if name in ("tensorrt_libs", "nvidia"):
            return SimpleNamespace(submodule_search_locations=[str(tmp_path / name)])
        return find_spec(name)

    monkeypatch.setattr(importlib.util, "find_spec", in_folder)
    for library in ("tensorrt_libs/libnvinfer.so.10", *CUDA_WHEELS):
        path = tmp_path / library
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(TRUNCATED)
    return tmp_path


@pytest.fixture
def provider_needs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the linker load all that ONNX Runtime's wheel has, but for what a library misses."""
    load = ctypes.CDLL

    def set_up(missing: str) -> None:
        def cdll(name: str, mode: int = ctypes.DEFAULT_MODE) -> Any:
            if not name.startswith("/wheels/"):
                return load(name, mode)
            if name.endswith("shared.so"):
                return None
            raise OSError(f"{missing}: cannot open shared object file: No such file or directory")

        monkeypatch.setattr(ctypes, "CDLL", cdll)

    return set_up


@pytest.mark.usefixtures("wheels")
def test_a_broken_library_is_left_out_and_standard_output_left_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    load_libraries(_ort())

    printed = capsys.readouterr()
    assert printed.out == ""
    assert "libcublas.so.13" in printed.err


def test_cudas_libraries_are_loaded_from_wheels_that_are_not_beside_onnxruntimes(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an environment on top of one that has PyTorch; each before those that need it."""
    loaded: list[str] = []
    absent = "cannot open shared object file: No such file or directory"

    def cdll(name: str, mode: int = ctypes.DEFAULT_MODE) -> None:
        if not name.startswith(str(wheels)):
            raise OSError(f"{name}: {absent}")
        loaded.append(str(Path(name).relative_to(wheels)))

    monkeypatch.setattr(ctypes, "CDLL", cdll)

    load_libraries(_ort())

    assert loaded == [*CUDA_WHEELS, "tensorrt_libs/libnvinfer.so.10"]


@pytest.mark.usefixtures("wheels")
def test_what_pytorch_has_loaded_is_not_loaded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name, mode: asked.append(name))

    load_libraries(_ort())

    assert "libcudnn.so.9" in asked
    assert not [name for name in asked if "/" in name]


@pytest.mark.usefixtures("wheels")
def test_a_cudnn_that_is_missing_or_broken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime would start CUDA without it and fail at the first call."""
    assert missing_cudnn().endswith("nvidia/cudnn/lib/libcudnn.so.9: file too short")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert missing_cudnn().startswith("libcudnn.so.9: cannot open shared object file")


@pytest.mark.parametrize(
    ("provider", "library", "folder"),
    [
        (TENSORRT, "libnvinfer.so.10", "tensorrt_libs"),
        (CUDA, "libcublas.so.13", "nvidia/cu13/lib"),
    ],
)
def test_a_broken_library_is_told_from_one_that_is_not_there(
    wheels: Path,
    provider_needs: Callable[[str], None],
    provider: str,
    library: str,
    folder: str,
) -> None:
    provider_needs(library)

    assert missing_library(_ort(), provider) == f"{wheels / folder / library}: file too short"


@pytest.mark.usefixtures("wheels")
def test_a_library_that_no_wheel_has_is_named_as_the_linker_does(
    provider_needs: Callable[[str], None],
) -> None:
    provider_needs("libnccl.so.2")

    assert missing_library(_ort(), CUDA).startswith("libnccl.so.2: cannot open shared object")


@pytest.mark.usefixtures("wheels")
def test_a_broken_tensorrt_is_a_device_that_cannot_be_had(
    provider_needs: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that `auto` takes CUDA, and `export --tensorrt` says why it builds no engine."""
    provider_needs("libnvinfer.so.10")
    monkeypatch.setattr(gpu, "_load_driver", Driver)
    monkeypatch.setattr(selection, "onnxruntime", _ort)

    with pytest.raises(ProviderUnavailable, match=r"libnvinfer\.so\.10: file too short"):
        selection.this_platform()
