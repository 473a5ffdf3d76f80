"""What the cache says about itself."""

from typing import TypedDict

from vla_embeddings.cache.breaker import State


class CacheStats(TypedDict):
    """What `EmbeddingCache.get_stats` returns. None means that Redis did not say."""

    connected: bool
    total_keys: int | None
    """Keys below `embedding:`, on all servers of a cluster."""
    memory_used: str | None
    """Memory of the whole server or cluster, for people, as in `1.5 MiB`."""
    memory_used_bytes: int | None
    hits: int
    misses: int
    hit_rate: float
    """hits / (hits + misses) since this cache was made; 0.0 before the first look-up."""
    errors: int
    breaker: State
    """Of a cluster, the worst of its servers'."""


def for_people(size: int) -> str:
    """A number of bytes as in `1.5 MiB`."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
