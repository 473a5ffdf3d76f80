"""The models that are measured: exported where they are missing."""

from benchmarks.devices import RUNS_ON
from vla_embeddings.config import Device, EmbeddingConfig
from vla_embeddings.demo.models import prepare_models
from vla_embeddings.errors import ExportError
from vla_embeddings.export import Progress, ensure_exported, find_current
from vla_embeddings.export.engines import ensure_engine
from vla_embeddings.models import Artifact, ArtifactStore, Precision, find_model


def prepare(config: EmbeddingConfig, device: Device, progress: Progress) -> None:
    """MiniLM and CLIP's image tower in the device's precisions; CLIP untrained where it must be.

    Raises:
        As `prepare_models`.
        ExportError: TensorRT's engine cannot be built here, or its vectors are not PyTorch's.
    """
    store = ArtifactStore(config.models_dir)
    for fp32 in prepare_models(store, progress):
        for precision in RUNS_ON[device]:
            if precision == fp32.manifest.precision:
                continue
            artifact = _prepare(fp32, precision, store, progress)
            if precision == "fp16-tensorrt":
                _compile(artifact, progress)


def _prepare(
    fp32: Artifact, precision: Precision, store: ArtifactStore, progress: Progress
) -> Artifact:
    """The same model in another precision."""
    manifest = fp32.manifest
    model, untrained = find_model(manifest.model, manifest.kind), manifest.weights != "trained"
    if (current := find_current(model, precision, store)) is not None:
        return current
    progress(f"{model.name}: {precision}")
    [(artifact, _)] = ensure_exported(
        model, [precision], store, untrained=untrained, progress=progress
    )
    return artifact


def _compile(artifact: Artifact, progress: Progress) -> None:
    name = artifact.manifest.model
    engine = ensure_engine(artifact, progress=lambda step: progress(f"{name}: {step}"))
    if engine.status == "not built":
        raise ExportError(f"{name} has no TensorRT engine: {engine.detail}")
