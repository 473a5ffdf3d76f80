"""Counts of what the cache did, for Prometheus and for `get_stats`."""

from collections.abc import Iterable

from vla_embeddings.cache.keys import count_kinds
from vla_embeddings.metrics import CACHE_ERRORS, CACHE_HITS, CACHE_MISSES


class Tally:
    """Hits, misses and errors of one cache since it was made."""

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.errors = 0

    def add_hits(self, names: Iterable[bytes]) -> None:
        for kind, count in count_kinds(names).items():
            CACHE_HITS.labels(kind).inc(count)
            self.hits += count

    def add_misses(self, names: Iterable[bytes]) -> None:
        for kind, count in count_kinds(names).items():
            CACHE_MISSES.labels(kind).inc(count)
            self.misses += count

    def add_error(self, reason: str) -> None:
        """Note an error; `reason` is one of a few fixed words."""
        CACHE_ERRORS.labels(reason).inc()
        self.errors += 1
