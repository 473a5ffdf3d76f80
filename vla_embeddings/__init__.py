"""Embeddings for robot VLA platforms: instructions and images to vectors, cached and searchable.

Importing this package loads neither torch nor onnxruntime; each name is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from vla_embeddings.cache import EmbeddingCache
    from vla_embeddings.config import EmbeddingConfig, embedding_config
    from vla_embeddings.service import BatchEmbeddings, EmbeddingService

__all__ = [
    "BatchEmbeddings",
    "EmbeddingCache",
    "EmbeddingConfig",
    "EmbeddingService",
    "embedding_config",
]

_HOMES = {
    "BatchEmbeddings": "vla_embeddings.service",
    "EmbeddingCache": "vla_embeddings.cache",
    "EmbeddingConfig": "vla_embeddings.config",
    "EmbeddingService": "vla_embeddings.service",
    "embedding_config": "vla_embeddings.config",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("vla-embeddings")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
