"""How much the cache's suite measures."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.size import SizeName


@dataclass(frozen=True, slots=True)
class CacheSize:
    """Counts of turns and calls."""

    turns: int
    entries: int
    """Of one batch."""
    single_calls: int
    """Of one turn."""
    calls_down: int
    """After the breaker has opened, in all turns."""


SIZES: Mapping[SizeName, CacheSize] = {
    "tiny": CacheSize(turns=2, entries=20, single_calls=5, calls_down=30),
    "quick": CacheSize(turns=5, entries=1000, single_calls=50, calls_down=300),
    "full": CacheSize(turns=15, entries=1000, single_calls=200, calls_down=3000),
    "long": CacheSize(turns=30, entries=1000, single_calls=300, calls_down=10_000),
}
