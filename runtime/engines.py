"""TensorRT engines on disk: which one fits this model on this very machine.

`MODELS_DIR/.engines/<machine>/<model>-<graph>/` holds `engine.onnx`, a graph of one operator with
the compiled model inside, and `engine.json`, which is written last. Loading such a graph never
compiles: where it does not fit, ONNX Runtime refuses it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from vla_embeddings.models import Artifact, FileRecord, Parity
from vla_embeddings.models.store import sha256_of
from vla_embeddings.runtime.gpu_options import build_options

ENGINES = ".engines"
ENGINE = "engine.onnx"
RECORD = "engine.json"
TIMINGS = "timings"


@dataclass(frozen=True, slots=True)
class Platform:
    """All of a machine that an engine depends on; any change makes it useless."""

    onnxruntime: str
    tensorrt: str
    driver: str
    """Of the kernel; "unknown" where a container hides it."""
    cuda: str
    """The newest CUDA that the driver runs, which is never hidden."""
    gpu: str
    compute_capability: str
    multiprocessors: int

    @property
    def key(self) -> str:
        """Name of the folder of its engines."""
        return _digest(asdict(self))


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """The contents of `engine.json`."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    platform: Platform
    graph: str
    """SHA-256 of the graph that was compiled."""
    file: FileRecord
    """Of `engine.onnx`."""
    parity: Parity
    """Its vectors against PyTorch's, on this machine."""
    seconds: float
    """What the build took."""

    def to_json(self) -> str:
        """The text of `engine.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"


def platform_folder(artifact: Artifact, platform: Platform) -> Path:
    """Where a store keeps the engines of a machine."""
    return artifact.folder.parents[1] / ENGINES / platform.key


def engine_folder(artifact: Artifact, platform: Platform) -> Path:
    """Where an artefact's engine for a machine is, or is to be."""
    manifest = artifact.manifest
    options = dict(build_options(manifest, tensorrt=platform.tensorrt))
    key = _digest({"graph": manifest.graph_sha256, "options": options})
    return platform_folder(artifact, platform) / f"{manifest.model}-{key}"


def find_engine(artifact: Artifact, platform: Platform) -> Path | None:
    """The whole engine of this artefact for this machine; None where there is none."""
    folder = engine_folder(artifact, platform)
    try:
        record = _reader().validate_json((folder / RECORD).read_bytes())
        size = (folder / ENGINE).stat().st_size
    except (OSError, ValidationError):
        return None
    if record.platform != platform or record.graph != artifact.manifest.graph_sha256:
        return None
    # It is native code in all but name: nothing but what the build wrote is handed to TensorRT.
    if size != record.file.bytes or sha256_of(folder / ENGINE) != record.file.sha256:
        return None
    return folder / ENGINE


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _reader() -> TypeAdapter[EngineRecord]:
    return TypeAdapter(EngineRecord)
