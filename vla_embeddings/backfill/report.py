"""What a backfill is about to do, how far it is, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

IndexPlan = Literal["leave", "create", "rebuild"]


@dataclass(frozen=True)
class BackfillPlan:
    """What there is to do, counted before anything is changed.

    `vectors` rows have a vector that stays, `pending` rows are to get one; both are 0 where the
    run was stopped before they were counted. `index` says what becomes of the column's index: it
    is left alone, created at the end, or dropped now and rebuilt at the end.
    """

    table: str
    source_column: str
    embedding_column: str
    fingerprint: str
    vectors: int
    pending: int
    index: IndexPlan


@dataclass(frozen=True)
class BackfillProgress:
    """How far a run is: `done` of `total` rows, or whatever its present phase counts."""

    phase: str
    done: int
    total: int


Progress = Callable[[BackfillProgress], None]


@dataclass(frozen=True)
class FailedRow:
    """A row that nothing could be done for, by its primary key, and why."""

    id: Any
    reason: str


@dataclass(frozen=True)
class BackfillReport:
    """What one run did.

    `embedded` rows got their vector in it, `failed` ones cannot be embedded as they are or did
    not take their vector, and `left` others still had none at its end: because another worker
    held them, or because they came in behind it. Of a run that was stopped, `left` are those of
    its plan that it did not come to, though other workers may have. `seconds` is the time of
    embedding, index excluded; `index` is the name of the index that was built.
    """

    plan: BackfillPlan
    embedded: int = 0
    failed: tuple[FailedRow, ...] = ()
    left: int = 0
    seconds: float = 0.0
    index: str | None = None
    dry_run: bool = False
    stopped: bool = False

    @property
    def rows_per_second(self) -> float:
        """Rows embedded a second; 0 where there were none."""
        return self.embedded / self.seconds if self.embedded else 0.0
