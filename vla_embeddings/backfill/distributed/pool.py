"""A dataset of key ranges, mapped over a pool of actors by Ray Data."""

import asyncio
import gc
import logging
import pickle
from collections.abc import Sequence
from typing import Any

import ray.data
from ray.exceptions import RayError

from vla_embeddings.backfill.distributed.worker import RANGE, Assignment, Worker
from vla_embeddings.backfill.keys import KeyRange
from vla_embeddings.errors import EngineError
from vla_embeddings.search.finishing import finished


def run_pool(ranges: Sequence[KeyRange], assignment: Assignment, workers: int) -> None:
    """Have `workers` actors fill all `ranges`; blocks until they are through.

    A range whose actor died, or whose machine did, is given to another: what was written stays
    written, and the rest is leased anew.

    Raises:
        EngineError: Ray failed; the errors of workers are the ledger's.
    """
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # its errors are raised, too
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    items = [{RANGE: pickle.dumps(each)} for each in ranges]
    with ray.data.DataContext.current(context):
        dataset = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            Worker,
            fn_constructor_args=[assignment],
            batch_size=1,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
        )
    try:
        dataset.materialize()
        return
    except RayError as error:
        reason = str(error)
    # The error's traceback, a cycle, holds the actors, and they their CPUs: on a Ray of the
    # caller's own the next run would wait for them. So it is neither passed on nor left to later.
    gc.collect()
    raise EngineError(f"Ray failed: {reason}")


async def end_pool(thread: asyncio.Future[None], ledger: Any) -> None:
    """Return when `run_pool` has, which must not be in Ray when that is shut down.

    A thread cannot be cancelled, but without the ledger each worker fails at its next block.
    """
    ray.kill(ledger)
    await finished(asyncio.wait([thread]))
    thread.exception()  # raised by whoever awaits the thread, and of no interest to others
