"""A provider's missing library is named, with the wheel that has it."""

import onnxruntime
import pytest

from tests.runtime.nvidia import GPU_WHEEL, fake_ort
from vla_embeddings.runtime import diagnosis
from vla_embeddings.runtime.diagnosis import find_missing_library, unavailable
from vla_embeddings.runtime.providers import CUDA, TENSORRT

CANNOT = "cannot open shared object file: No such file or directory"


@pytest.fixture
def linker(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Makes the linker say what the test's parameter is."""
    monkeypatch.setattr(diagnosis, "missing_library", lambda ort, provider: request.param)


@pytest.mark.parametrize("linker", [f"libcublasLt.so.13: {CANNOT}"], indirect=True)
@pytest.mark.usefixtures("linker")
def test_the_missing_library_and_its_wheel_are_named() -> None:
    fault = find_missing_library(fake_ort(GPU_WHEEL), "cuda", CUDA)

    assert fault is not None
    message = str(unavailable("cuda", fault))
    assert "libcublasLt.so.13" in message
    assert "pip install 'vla-embeddings[gpu]'" in message


@pytest.mark.parametrize("linker", [f"libm.so.7: {CANNOT}"], indirect=True)
@pytest.mark.usefixtures("linker")
def test_the_same_library_of_an_older_cuda_is_told_apart() -> None:
    fault = find_missing_library(fake_ort(GPU_WHEEL), "cuda", CUDA)

    assert fault is not None  # every Linux with glibc has libm.so.6
    assert "(libm.so.6 is there: ONNX Runtime 1.31.1 wants CUDA 13)" in fault.cause


@pytest.mark.parametrize("linker", [f"libnvinfer.so.10: {CANNOT}"], indirect=True)
@pytest.mark.usefixtures("linker")
def test_tensorrts_library_comes_with_another_extra() -> None:
    fault = find_missing_library(fake_ort(GPU_WHEEL), "tensorrt", TENSORRT)

    assert fault is not None
    assert "pip install 'vla-embeddings[tensorrt]'" in fault.cure


def test_the_linker_itself_is_asked() -> None:
    """The CPU wheel of this machine has no CUDA provider to load."""
    fault = find_missing_library(onnxruntime, "cuda", CUDA)

    assert fault is not None
    assert "libonnxruntime_providers_" in fault.cause
