"""The shared libraries of CUDA and TensorRT: found in their wheels, and named when missing."""

import ctypes
import importlib.util
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

# TensorRT's libraries, each needing those before it.
_TENSORRT = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")
_CUDNN = "libcudnn.so.9"
_PROVIDERS = {
    "CUDAExecutionProvider": "libonnxruntime_providers_cuda.so",
    "TensorrtExecutionProvider": "libonnxruntime_providers_tensorrt.so",
}


def load_libraries(ort: Any) -> None:
    """Load CUDA, cuDNN and TensorRT from their wheels, which are on no library path.

    The wheels may be in any folder that Python imports from: ONNX Runtime itself looks beside its
    own alone. What is missing or broken is left out: `missing_library` then names it.
    """
    for name in _cuda(ort):
        _load(name)
    # It prints what it cannot load, where commands put JSON. Its own module's `print` alone is
    # another then: other threads may print meanwhile.
    ort.preload_dlls.__globals__["print"] = partial(print, file=sys.stderr)
    ort.preload_dlls()
    for name in _TENSORRT:
        _load(name)


def tensorrt_version() -> str | None:
    """TensorRT's version, such as "10.13.3"; None where its library cannot be loaded."""
    try:
        library = ctypes.CDLL(_TENSORRT[0])
    except OSError:
        return None
    number = library.getInferLibVersion()  # 10.13.3 is 101303
    return f"{number // 10000}.{number % 10000 // 100}.{number % 100}"


def missing_library(ort: Any, provider: str) -> str:
    """The linker's words on why a provider cannot be loaded; "" where it can.

    ONNX Runtime itself writes them to its log alone.
    """
    folder = Path(ort.__file__).parent / "capi"
    words = _fault(folder / "libonnxruntime_providers_shared.so", ctypes.RTLD_GLOBAL)
    return _explained(words or _fault(folder / _PROVIDERS[provider]))


def missing_cudnn() -> str:
    """The linker's words on why cuDNN cannot be loaded; "" where it can.

    ONNX Runtime's CUDA starts without it and fails at a call, at the norm that ends each graph.
    """
    return _explained(_fault(_CUDNN))


def _explained(words: str) -> str:
    """What `load_libraries` could not load is missing to the linker, although it is there."""
    for path in _in_wheels(Path(words.partition(":")[0]).name) if words else ():
        words = _fault(path) or words
    return words


def _cuda(ort: Any) -> Iterator[str]:
    """CUDA's libraries, each needing those before it, and cuDNN; none for the wheel of the CPU."""
    if not ort.cuda_version:
        return
    major = int(ort.cuda_version.partition(".")[0])
    for name in ("libcudart.so", "libcublasLt.so", "libcublas.so", "libnvrtc.so"):
        yield f"{name}.{major}"
    yield from ("libcurand.so.10", f"libcufft.so.{major - 1}", _CUDNN)


def _load(name: str) -> None:
    """Load a library that is not yet, as PyTorch's are, from the first wheel that has it whole."""
    if _fault(name, os.RTLD_NOLOAD):
        next((path for path in _in_wheels(name) if not _fault(path, ctypes.RTLD_GLOBAL)), None)


def _fault(library: Path | str, mode: int = ctypes.DEFAULT_MODE) -> str:
    """Load a library; the linker's words where it cannot be."""
    try:
        ctypes.CDLL(str(library), mode)
    except OSError as error:
        return str(error)
    return ""


def _in_wheels(name: str) -> Iterator[Path]:
    """The libraries of that name in the wheels of TensorRT and CUDA."""
    for package, folder in (("tensorrt_libs", ""), ("nvidia", "*/lib/")):
        spec = importlib.util.find_spec(package)
        for location in (spec.submodule_search_locations if spec else None) or ():
            yield from Path(location).glob(folder + name)
