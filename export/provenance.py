"""What an artefact was made by, and whether it would come out the same today."""

import hashlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

from vla_embeddings.models import Manifest

TOOLS = ("onnx", "onnxruntime", "optimum-onnx", "torch", "transformers")


def exporter_digest() -> str:
    """SHA-256 over the export code, which changes whenever a graph might."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def tool_versions() -> Mapping[str, str]:
    """Versions of the packages that make a graph; onnxruntime-gpu counts as onnxruntime."""
    installed = {}
    for name in (*TOOLS, "onnxruntime-gpu"):
        try:
            installed[name.removesuffix("-gpu")] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def is_current(manifest: Manifest) -> bool:
    """Whether today's code and tools would make the same artefact of the same source."""
    return manifest.exporter == exporter_digest() and manifest.tools == tool_versions()
