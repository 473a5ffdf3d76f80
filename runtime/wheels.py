"""Which of ONNX Runtime's wheels are installed."""

import importlib.metadata
from collections.abc import Mapping

# Every wheel that installs the module onnxruntime; two of them overwrite each other's files.
ONNXRUNTIME_WHEELS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
)


def installed_wheels() -> Mapping[str, str]:
    """Name and version of each that is installed."""
    found = {}
    for name in ONNXRUNTIME_WHEELS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
