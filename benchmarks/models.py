"""The models that are measured: exported where they are missing."""

from vla_embeddings.config import EmbeddingConfig
from vla_embeddings.demo.models import prepare_models
from vla_embeddings.export import Progress, ensure_exported, find_current
from vla_embeddings.models import ArtifactStore, find_model


def prepare(config: EmbeddingConfig, progress: Progress) -> None:
    """MiniLM and CLIP's image tower in fp32 and int8; CLIP untrained where it cannot be had.

    Raises:
        As `prepare_models`.
    """
    store = ArtifactStore(config.models_dir)
    for artifact in prepare_models(store, progress):
        manifest = artifact.manifest
        model, untrained = find_model(manifest.model, manifest.kind), manifest.weights != "trained"
        if find_current(model, "int8", store) is None:
            progress(f"{model.name}: int8")
            ensure_exported(model, ["int8"], store, untrained=untrained, progress=progress)
