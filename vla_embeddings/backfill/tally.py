"""Counting what is through, and telling who watches."""

from collections.abc import Iterable

from vla_embeddings.backfill.report import BackfillProgress, FailedRow, Progress
from vla_embeddings.backfill.target import Kind
from vla_embeddings.metrics import BACKFILL_ROWS


class Tally:
    """Rows that are through: committed, or found impossible to embed."""

    def __init__(self, kind: Kind, *, pending: int, progress: Progress) -> None:
        self.embedded = 0
        self._failed: dict[str, FailedRow] = {}
        self._kind = kind
        self._pending = pending
        self._progress = progress
        self._tell()

    @property
    def failed(self) -> tuple[FailedRow, ...]:
        """The rows that cannot be embedded, each once."""
        return tuple(self._failed.values())

    @property
    def rest(self) -> int:
        """Of the rows that were counted at the start, those that are not through."""
        return max(0, self._pending - self._done)

    def add(self, embedded: int, failed: Iterable[FailedRow]) -> None:
        """Count `embedded` rows, and those of `failed` that are new."""
        given = {repr(row.id): row for row in failed}  # NaN is a key, and does not equal itself
        new = {key: row for key, row in given.items() if key not in self._failed}
        self.embedded += embedded
        self._failed |= new
        BACKFILL_ROWS.labels(self._kind, "embedded").inc(embedded)
        BACKFILL_ROWS.labels(self._kind, "failed").inc(len(new))
        self._tell()

    @property
    def _done(self) -> int:
        return self.embedded + len(self._failed)

    def _tell(self) -> None:
        self._progress(BackfillProgress("rows", self._done, self._pending))
