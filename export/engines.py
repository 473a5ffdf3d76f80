"""TensorRT engines, built where they will run and proven there."""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from vla_embeddings.errors import ExportError, ProviderUnavailable
from vla_embeddings.export.ensure import Progress
from vla_embeddings.export.parity import verify
from vla_embeddings.models import Artifact, FileRecord
from vla_embeddings.models.store import sha256_of
from vla_embeddings.models.writing import alone_in, stage_in
from vla_embeddings.runtime import onnxruntime
from vla_embeddings.runtime.engines import (
    ENGINE,
    RECORD,
    TIMINGS,
    EngineRecord,
    Platform,
    engine_folder,
    find_engine,
    platform_folder,
)
from vla_embeddings.runtime.gpu_options import engine_options
from vla_embeddings.runtime.gpu_session import create
from vla_embeddings.runtime.placement import RECORD_PLACEMENT, placement
from vla_embeddings.runtime.providers import TENSORRT, ProviderChoice, choose_providers
from vla_embeddings.runtime.selection import this_platform


@dataclass(frozen=True, slots=True)
class Engine:
    """What became of a model's engine on this machine."""

    status: str
    """`built`, `up to date` or `not built`."""
    detail: str
    """Its file, or why there is none."""


def ensure_engine(
    artifact: Artifact, *, force: bool = False, progress: Progress = lambda step: None
) -> Engine:
    """Build the engine of a `fp16-tensorrt` artefact, where this machine can and has none.

    Args:
        artifact: what to compile.
        force: build it also where there is one.
        progress: told each step.

    Raises:
        ExportError: TensorRT did not take the whole graph; ParityError where the engine's
            vectors are not PyTorch's. Nothing is kept then.
        NotWritable: the engine's folder cannot be written, or its disk is full.
    """
    try:
        choice = choose_providers("tensorrt")
        platform = this_platform()
    except ProviderUnavailable as error:
        return Engine("not built", str(error))
    if not force and (known := find_engine(artifact, platform)) is not None:
        return Engine("up to date", str(known))
    progress("building the TensorRT engine, which takes minutes")
    with alone_in(platform_folder(artifact, platform)):
        if not force and (known := find_engine(artifact, platform)) is not None:
            return Engine("up to date", str(known))  # another process built it meanwhile
        return Engine("built", str(_build(artifact, choice, platform)))


def _build(artifact: Artifact, choice: ProviderChoice, platform: Platform) -> Path:
    began = time.perf_counter()
    destination = engine_folder(artifact, platform)
    timings = platform_folder(artifact, platform) / TIMINGS
    timings.mkdir(exist_ok=True)
    with stage_in(timings.parent) as stage:
        engine = stage / ENGINE
        _compile(artifact, choice, platform, engine, timings)
        record = EngineRecord(
            platform=platform,
            graph=artifact.manifest.graph_sha256,
            file=FileRecord(engine.stat().st_size, sha256_of(engine)),
            parity=verify(artifact, replace(choice, engine=engine)),
            seconds=round(time.perf_counter() - began, 1),
        )
        (stage / RECORD).write_text(record.to_json())
        stage.chmod(0o755)
        shutil.rmtree(destination, ignore_errors=True)
        stage.rename(destination)
    return destination / ENGINE


def _compile(
    artifact: Artifact, choice: ProviderChoice, platform: Platform, engine: Path, timings: Path
) -> None:
    """Let ONNX Runtime compile the graph, and write the engine."""
    artifact.verify()
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.add_session_config_entry(RECORD_PLACEMENT, "1")
    wanted = engine_options(
        artifact.manifest, engine=engine, timings=timings, tensorrt=platform.tensorrt
    )
    session = create(ort, str(artifact.graph), options, choice, wanted)
    if not engine.is_file():
        elsewhere = {
            name: operators for name, operators in placement(session).items() if name != TENSORRT
        }
        raise ExportError(
            f"TensorRT {platform.tensorrt} did not take all of {artifact.manifest.model}, so it "
            f"has no engine: other providers have {elsewhere}. device='cuda' runs it."
        )
