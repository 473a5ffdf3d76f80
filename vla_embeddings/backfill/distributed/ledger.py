"""Where workers on Ray say what is through, and hear whether to go on."""

from dataclasses import dataclass
from typing import Any

import ray

from vla_embeddings.backfill.report import FailedRow
from vla_embeddings.errors import EmbeddingError


@dataclass(frozen=True)
class News:
    """What workers did since it was last asked for, and the first error that one of them met."""

    embedded: int
    failed: list[FailedRow]
    error: EmbeddingError | None


class Ledger:
    """Keeps what workers add until the driver takes it; an actor of its own.

    What a worker added stays when the worker dies.
    """

    def __init__(self) -> None:
        self._embedded = 0
        self._failed: list[FailedRow] = []
        self._error: EmbeddingError | None = None
        self._stopped = False

    def add(self, embedded: int, failed: list[FailedRow]) -> bool:
        """Add a block that is through; returns whether to stop."""
        self._embedded += embedded
        self._failed += failed
        return self._stopped

    def fail(self, error: EmbeddingError) -> None:
        """Tell the driver, and the other workers to stop: Ray would pass on its text alone."""
        self._error = self._error or error
        self._stopped = True

    def take(self, *, stop: bool) -> News:
        """What came since the last call; with `stop`, workers are told to end."""
        self._stopped = self._stopped or stop
        news = News(self._embedded, self._failed, self._error)
        self._embedded, self._failed = 0, []
        return news


def start_ledger() -> Any:
    """A handle to a new one. It takes no CPU from the workers."""
    return ray.remote(num_cpus=0)(Ledger).remote()
