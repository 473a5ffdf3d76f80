"""The engine that works on Ray."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec

from vla_embeddings.backfill.distributed.ranges import key_ranges
from vla_embeddings.backfill.engine import BLOCK_ROWS, Work
from vla_embeddings.backfill.keys import KeyRange
from vla_embeddings.backfill.stopping import unless_stopped
from vla_embeddings.backfill.tally import Tally
from vla_embeddings.config import EmbeddingConfig
from vla_embeddings.errors import InvalidInput, MissingDependency
from vla_embeddings.runtime import available_cpus
from vla_embeddings.search.handles import Handle, connected
from vla_embeddings.service import EmbeddingService

RANGES_PER_WORKER = 16
"""So that workers end at about the same time: within a sixteenth of a worker's share."""

POLL_SECONDS = 0.2
"""How often workers' counts are fetched, and told to stop."""


def one_thread_service() -> EmbeddingService:
    """A service for one CPU, with the settings of the machine it is made on."""
    return EmbeddingService(config=EmbeddingConfig(threads=1))


@dataclass(frozen=True)
class RayEngine:
    """Ray Data with a pool of encoders, each of which fills ranges of keys as `LocalEngine` does.

    The Ray in use is taken: the one this process is connected to, or the one that `RAY_ADDRESS`
    names. Without either, one is started on this machine, and ends with the run.

    Args:
        dsn: the database, as the workers' machines reach it; it is sent to them.
        workers: encoders, of one CPU each; by default as many as Ray has CPUs.
        make_service: makes a worker's service, on its machine.

    Raises:
        InvalidInput: `workers` is not 1 or more.
        MissingDependency: the extra `distributed` is not installed.
    """

    dsn: str = field(repr=False)
    workers: int | None = None
    make_service: Callable[[], EmbeddingService] = one_thread_service

    def __post_init__(self) -> None:
        if self.workers is not None and (type(self.workers) is not int or self.workers < 1):
            raise InvalidInput(f"workers must be a whole number from 1; got {self.workers!r}.")
        if find_spec("ray") is None or find_spec("pyarrow") is None:
            raise MissingDependency(
                "The Ray engine needs Ray Data: pip install 'vla-embeddings[distributed]'."
            )

    async def fill(
        self,
        db: Handle,
        service: EmbeddingService,
        work: Work,
        tally: Tally,
        stop: asyncio.Event,
    ) -> None:
        """As `Engine.fill`; `db` reads the keys alone, and workers make services of their own.

        Raises:
            ConfigurationError: a worker has another model than `service`.
            EngineError: Ray cannot be reached or started, or failed.
            Others: as `backfill`.
        """
        # Ray is needed from here on, and not by whoever only asks whether it is installed.
        from vla_embeddings.backfill.distributed.cluster import cluster, cpus
        from vla_embeddings.backfill.distributed.ledger import report, start_ledger
        from vla_embeddings.backfill.distributed.pool import end_pool, run_pool
        from vla_embeddings.backfill.distributed.worker import Assignment

        async with cluster(self.workers or available_cpus()):
            workers = self.workers or cpus()
            ranges = await unless_stopped(stop, _cut(db, work, workers))
            if not ranges:
                return
            workers = min(workers, len(ranges))
            share = replace(work, rows_per_second=_share(work.rows_per_second, workers))
            ledger = start_ledger()
            assignment = Assignment(self.dsn, share, self.make_service, ledger)
            thread = asyncio.get_running_loop().run_in_executor(
                None, run_pool, ranges, assignment, workers
            )
            try:
                while not thread.done():
                    await asyncio.wait([thread], timeout=POLL_SECONDS)
                    await report(ledger, tally, stop)
                error = await report(ledger, tally, stop)
            finally:
                await end_pool(thread, ledger)
            await thread
            if error is not None:
                raise error


async def _cut(db: Handle, work: Work, workers: int) -> list[KeyRange]:
    """Ranges of whole blocks, about `RANGES_PER_WORKER` a worker."""
    block = BLOCK_ROWS[work.target.kind]
    blocks = max(1, work.pending // (block * workers * RANGES_PER_WORKER))
    async with connected(db) as connection:
        return await key_ranges(connection, work.target, rows=blocks * block)


def _share(rows_per_second: float | None, workers: int) -> float | None:
    return None if rows_per_second is None else rows_per_second / workers
