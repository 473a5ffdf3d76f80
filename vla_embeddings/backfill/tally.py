"""Counting what is through, and telling who watches."""

from collections.abc import Iterable
from typing import Any

from vla_embeddings.backfill.report import BackfillProgress, FailedRow, Progress
from vla_embeddings.backfill.target import Kind
from vla_embeddings.metrics import BACKFILL_ROWS


class Tally:
    """Rows that are through: committed, or found impossible to embed."""

    def __init__(self, kind: Kind, *, pending: int, progress: Progress) -> None:
        self.embedded = 0
        self._failed: dict[Any, FailedRow] = {}
        self._kind = kind
        self._pending = pending
        self._progress = progress
        self._tell()

    @property
    def failed(self) -> tuple[FailedRow, ...]:
        """The rows that cannot be embedded, each once."""
        return tuple(self._failed.values())

    def add(self, embedded: int, failed: Iterable[FailedRow]) -> None:
        """Count `embedded` rows, and those of `failed` that are new."""
        new = {row.id: row for row in failed if row.id not in self._failed}
        self.embedded += embedded
        self._failed |= new
        BACKFILL_ROWS.labels(self._kind, "embedded").inc(embedded)
        BACKFILL_ROWS.labels(self._kind, "failed").inc(len(new))
        self._tell()

    def _tell(self) -> None:
        done = self.embedded + len(self._failed)
        self._progress(BackfillProgress("rows", done, self._pending))
