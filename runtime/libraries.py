"""The shared libraries of CUDA and TensorRT: found in their wheels, and named when missing."""

import ctypes
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# TensorRT's libraries, each needing those before it.
_TENSORRT = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")
_PROVIDERS = {
    "CUDAExecutionProvider": "libonnxruntime_providers_cuda.so",
    "TensorrtExecutionProvider": "libonnxruntime_providers_tensorrt.so",
}


def load_libraries(ort: Any) -> None:
    """Load CUDA, cuDNN and TensorRT from their wheels, which are on no library path.

    What is missing is left out: `missing_library` then names it.
    """
    ort.preload_dlls()
    for folder in _wheel_folders():
        for name in _TENSORRT:
            if (folder / name).is_file():
                ctypes.CDLL(str(folder / name), ctypes.RTLD_GLOBAL)


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
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / _PROVIDERS[provider]))
    except OSError as error:
        return str(error)
    return ""


def _wheel_folders() -> Iterator[Path]:
    spec = importlib.util.find_spec("tensorrt_libs")
    yield from map(Path, (spec.submodule_search_locations if spec else None) or ())
