"""What GPU there is, asked of NVIDIA's driver itself."""

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DRIVER = "libcuda.so.1"
_DRIVER_VERSION = Path("/proc/driver/nvidia/version")
# CUdevice_attribute, in cuda.h.
_CAPABILITY_MAJOR, _CAPABILITY_MINOR, _MULTIPROCESSORS = 75, 76, 16
_THREAD_LOCAL = 1  # CUstreamCaptureMode


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU that this process may use, which is the one that models run on."""

    name: str
    compute_capability: str
    """Such as "9.0"."""
    multiprocessors: int
    """Cards of one name may have more of them or fewer, as may slices of one card."""
    driver: str
    """Version of the kernel driver; "unknown" where a container hides it."""
    cuda: tuple[int, int]
    """The newest CUDA that the driver runs."""

    @property
    def label(self) -> str:
        """What figures of it are told apart by: its name and driver."""
        return f"{self.name}, driver {self.driver}"


def why_no_gpu() -> str:
    """In words, what keeps this process from a GPU; "" where nothing does.

    onnxruntime-gpu lists its CUDA provider on any machine, with a GPU or without.
    """
    try:
        driver = _load_driver()
    except OSError as error:
        return f"NVIDIA's driver is not installed, or a container runs without --gpus ({error})"
    if code := driver.cuInit(0):
        return f"NVIDIA's driver does not start: {_error_name(driver, code)}"
    if _count(driver) == 0:
        return "the driver shows none to this process (CUDA_VISIBLE_DEVICES hides it?)"
    return ""


def find_gpu() -> Gpu | None:
    """The GPU that models run on; None where there is none."""
    if why_no_gpu():
        return None
    driver = _load_driver()
    device, version = ctypes.c_int(0), ctypes.c_int(0)
    driver.cuDeviceGet(ctypes.byref(device), 0)
    driver.cuDriverGetVersion(ctypes.byref(version))
    name = ctypes.create_string_buffer(256)
    driver.cuDeviceGetName(name, len(name), device)
    major, minor, multiprocessors = (
        _attribute(driver, device, attribute)
        for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR, _MULTIPROCESSORS)
    )
    return Gpu(
        name.value.decode(),
        f"{major}.{minor}",
        multiprocessors,
        _driver_version(),
        (version.value // 1000, version.value % 1000 // 10),  # 13.2 is 13020
    )


def ignore_captures_elsewhere() -> None:
    """Let this thread allocate GPU memory while another one captures a CUDA graph.

    ONNX Runtime captures in CUDA's global mode: an allocation on any other thread fails then, and
    the capture with it, unless that thread has left the mode.
    """
    mode = ctypes.c_int(_THREAD_LOCAL)
    _load_driver().cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))


def _load_driver() -> Any:
    return ctypes.CDLL(_DRIVER)


def _count(driver: Any) -> int:
    count = ctypes.c_int(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    return count.value


def _attribute(driver: Any, device: ctypes.c_int, attribute: int) -> int:
    value = ctypes.c_int(0)
    driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return value.value


def _error_name(driver: Any, code: int) -> str:
    name = ctypes.c_char_p()
    driver.cuGetErrorName(code, ctypes.byref(name))
    return f"{(name.value or b'error').decode()} ({code})"


def _driver_version() -> str:
    try:
        text = _DRIVER_VERSION.read_text()
    except OSError:
        return "unknown"
    found = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    return found[0] if found else "unknown"
