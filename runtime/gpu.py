"""Whether there is a GPU, asked of NVIDIA's driver itself."""

import ctypes


def cuda_devices() -> int:
    """NVIDIA GPUs that the driver shows this process; 0 where there is no driver.

    onnxruntime-gpu lists its CUDA provider on any machine, with a GPU or without.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
