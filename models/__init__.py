"""Which models there are, and where their exported artefacts lie."""

from vla_embeddings.models.manifest import WEIGHTS, FileRecord, Manifest, Parity, Quantization
from vla_embeddings.models.registry import (
    CLIP_IMAGE,
    CLIP_TEXT,
    MINILM,
    MODELS,
    PRECISIONS,
    Checkpoint,
    Kind,
    Model,
    Precision,
    find_model,
)
from vla_embeddings.models.store import Artifact, ArtifactStore

__all__ = [
    "CLIP_IMAGE",
    "CLIP_TEXT",
    "MINILM",
    "MODELS",
    "PRECISIONS",
    "WEIGHTS",
    "Artifact",
    "ArtifactStore",
    "Checkpoint",
    "FileRecord",
    "Kind",
    "Manifest",
    "Model",
    "Parity",
    "Precision",
    "Quantization",
    "find_model",
]
