"""What came of a comparison."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vla_embeddings.backfill import FailedRow

RANKS: Mapping[str, float] = {"min": 0, "p1": 1, "p5": 5, "p50": 50}

Progress = Callable[[int, int], None]
"""Told how many rows of how many are done."""


@dataclass(frozen=True)
class ComparedRow:
    """A row, by its primary key, and the cosine of its stored to its fresh vector."""

    id: Any
    cosine: float


@dataclass(frozen=True)
class Comparison:
    """Stored against fresh vectors of the rows that were drawn.

    `fingerprint` is the model that made the fresh vectors; `recorded` is the one that the
    column's comment names, None where it names none. `rows` come lowest cosine first. `unusable`
    rows hold a vector that has no cosine to a fresh one: of zero length, or of another dimension.
    `failed` rows have a source that can no longer be embedded. `not_unit` counts stored
    vectors whose length is not 1: their cosines are right, their euclidean distances to vectors
    of this library are not.
    """

    table: str
    source_column: str
    embedding_column: str
    fingerprint: str
    recorded: str | None
    min_cosine: float
    rows: tuple[ComparedRow, ...]
    unusable: tuple[FailedRow, ...]
    failed: tuple[FailedRow, ...]
    not_unit: int

    @property
    def passed(self) -> bool:
        """Whether there were rows to compare and every one's cosine reaches `min_cosine`."""
        return bool(self.rows) and not self.unusable and self.rows[0].cosine >= self.min_cosine

    @property
    def below(self) -> int:
        """How many rows do not reach `min_cosine`."""
        return sum(row.cosine < self.min_cosine for row in self.rows)

    @property
    def percentiles(self) -> dict[str, float]:
        """The least cosine, its 1st and 5th percentile and its median; empty without rows."""
        cosines = [row.cosine for row in self.rows]
        if not cosines:
            return {}
        return {name: float(np.percentile(cosines, rank)) for name, rank in RANKS.items()}
