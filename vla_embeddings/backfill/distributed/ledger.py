"""Where workers on Ray say what is through, and hear whether to go on."""

from typing import Any

import ray

from vla_embeddings.backfill.report import FailedRow


class Ledger:
    """Keeps what workers add until the driver takes it; an actor of its own.

    What a worker added stays when the worker dies.
    """

    def __init__(self) -> None:
        self._embedded = 0
        self._failed: list[FailedRow] = []
        self._stopped = False

    def add(self, embedded: int, failed: list[FailedRow]) -> bool:
        """Add a block that is through; returns whether to stop."""
        self._embedded += embedded
        self._failed += failed
        return self._stopped

    def take(self, *, stop: bool) -> tuple[int, list[FailedRow]]:
        """What came since the last call; with `stop`, workers are told to end."""
        self._stopped = self._stopped or stop
        taken = self._embedded, self._failed
        self._embedded, self._failed = 0, []
        return taken


def start_ledger() -> Any:
    """A handle to a new one. It takes no CPU from the workers."""
    return ray.remote(num_cpus=0)(Ledger).remote()
