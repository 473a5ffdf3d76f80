"""The models the demo needs, exported on its first run."""

from vla_embeddings.errors import ModelNotFound
from vla_embeddings.export import Progress, ensure_exported, find_current
from vla_embeddings.models import CLIP_IMAGE, MINILM, Artifact, ArtifactStore, Model, Precision

PRECISION: Precision = "fp32"


def prepare_models(store: ArtifactStore, progress: Progress) -> list[Artifact]:
    """MiniLM and CLIP's image tower; CLIP untrained where its weights are not to be had.

    Raises:
        ExportError: an export failed a check.
        MissingDependency: an export is needed and the extra `export` is not installed.
    """
    return [_prepare(model, store, progress) for model in (MINILM, CLIP_IMAGE)]


def _prepare(model: Model, store: ArtifactStore, progress: Progress) -> Artifact:
    def show(step: str) -> None:
        progress(f"{model.name}: {step}")

    show("checking")
    if (artifact := find_current(model, PRECISION, store)) is not None:
        return artifact
    try:
        [(artifact, _)] = ensure_exported(model, [PRECISION], store, progress=show)
    except ModelNotFound:
        if model is not CLIP_IMAGE:
            raise
        [(artifact, _)] = ensure_exported(model, [PRECISION], store, untrained=True, progress=show)
    return artifact
