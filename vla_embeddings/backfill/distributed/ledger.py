"""Where workers on Ray say what is through, and hear whether to go on."""

import asyncio
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vla_embeddings.backfill.report import FailedRow
from vla_embeddings.backfill.tally import Tally
from vla_embeddings.errors import EmbeddingError, EngineError


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
    """A handle to a new one, on this machine: those of the workers may be lost.

    It takes no CPU from them.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0)(Ledger).options(scheduling_strategy=here).remote()


async def report(ledger: Any, tally: Tally, stop: asyncio.Event) -> EmbeddingError | None:
    """Pass on what workers did, and whether to go on; returns the error that one of them met.

    Raises:
        EngineError: the ledger is gone.
    """
    try:
        news: News = await ledger.take.remote(stop=stop.is_set())
    except RayError as error:
        reason, _, _ = str(error).partition("\n")
        raise EngineError(
            f"The run's ledger on Ray is gone, and its workers with it: {reason} Run it again; "
            "what was written stays."
        ) from error
    if news.embedded or news.failed:
        tally.add(news.embedded, news.failed)
    return news.error
