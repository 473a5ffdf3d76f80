"""The models that are measured: exported where they are missing, or as they are."""

from collections.abc import Iterator

from benchmarks.devices import RUNS_ON, USUAL
from vla_embeddings.config import Device, EmbeddingConfig
from vla_embeddings.demo.models import prepare_models
from vla_embeddings.errors import ExportError
from vla_embeddings.export import Progress, ensure_exported, find_current
from vla_embeddings.export.engines import ensure_engine
from vla_embeddings.models import (
    CLIP_IMAGE,
    CLIP_TEXT,
    MINILM,
    Artifact,
    ArtifactStore,
    Model,
    Precision,
)


def prepare(config: EmbeddingConfig, device: Device, progress: Progress) -> None:
    """What `models_for` says; CLIP untrained where it must be.

    Raises:
        As `prepare_models`.
        ExportError: TensorRT's engine cannot be built here, or its vectors are not PyTorch's.
    """
    store = ArtifactStore(config.models_dir)
    minilm, clip = prepare_models(store, progress)
    for model, precision in models_for(device):
        like = minilm if model is MINILM else clip
        untrained = like.manifest.weights != "trained"
        artifact = _prepare(model, precision, store, progress, untrained=untrained)
        if precision == "fp16-tensorrt":
            _compile(artifact, progress)


def take(config: EmbeddingConfig, device: Device, progress: Progress) -> None:
    """The same models as they are in their folder, whatever machine they were exported on.

    Raises:
        ModelNotFound: one of them is not there.
        ArtifactDamaged: one is not as it was written.
        ExportError: as `prepare`.
    """
    store = ArtifactStore(config.models_dir)
    for model, precision in models_for(device):
        progress(f"{model.name}: {precision}")
        artifact = store.open(model, precision)
        artifact.verify()
        if precision == "fp16-tensorrt":
            _compile(artifact, progress)


def models_for(device: Device) -> Iterator[tuple[Model, Precision]]:
    """What the suites need on a device: of CLIP's text tower, what a service takes there."""
    for model in (MINILM, CLIP_IMAGE):
        for precision in RUNS_ON[device]:
            yield model, precision
    yield CLIP_TEXT, USUAL[device]


def _prepare(
    model: Model,
    precision: Precision,
    store: ArtifactStore,
    progress: Progress,
    *,
    untrained: bool,
) -> Artifact:
    """What a model gives in a precision, exported where it was not."""
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
