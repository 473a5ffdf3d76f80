"""The Redis cache of embeddings: never slows, never breaks, never lies."""

from vla_embeddings.cache.embedding_cache import EmbeddingCache
from vla_embeddings.cache.flight import SingleFlight
from vla_embeddings.cache.keys import image_key, instruction_key
from vla_embeddings.cache.read_through import ReadThrough
from vla_embeddings.cache.stats import CacheStats

__all__ = [
    "CacheStats",
    "EmbeddingCache",
    "ReadThrough",
    "SingleFlight",
    "image_key",
    "instruction_key",
]
