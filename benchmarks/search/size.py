"""How much the search's suite measures."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.size import SizeName


@dataclass(frozen=True, slots=True)
class SearchSize:
    """Counts of rows and turns."""

    texts: int
    """Those that are asked for included."""
    queries: int
    written: int
    write_turns: int
    builds: int
    peer_rows: int
    peer_turns: int


SIZES: Mapping[SizeName, SearchSize] = {
    "tiny": SearchSize(400, 8, 50, 1, 1, 20, 1),
    "quick": SearchSize(2000, 30, 500, 5, 5, 200, 5),
    "full": SearchSize(20_200, 200, 20_000, 7, 5, 2000, 5),
    "long": SearchSize(50_000, 500, 20_000, 11, 5, 4000, 5),
}
