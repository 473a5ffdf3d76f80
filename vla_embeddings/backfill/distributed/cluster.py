"""The Ray in use: the caller's, the one that RAY_ADDRESS names, or a small one of our own."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import ray
from ray.exceptions import RayError

from vla_embeddings.errors import EngineError
from vla_embeddings.search.finishing import finished

OBJECT_STORE_BYTES = 80 * 2**20
"""Near Ray's least. Nothing but ranges of keys goes through it: texts and vectors never do."""

CONNECT_SECONDS = 5.0


@asynccontextmanager
async def cluster(local_cpus: int) -> AsyncIterator[None]:
    """Ray within the block; one that was started for it, with `local_cpus`, ends with it."""
    if ray.is_initialized():
        yield
        return
    # In a thread, where Ray cannot take the process's signals for itself.
    try:
        await finished(asyncio.to_thread(_start, local_cpus))
    except (RayError, OSError, RuntimeError, ValueError) as error:
        where = os.environ.get("RAY_ADDRESS") or "on this machine"
        raise EngineError(f"Ray cannot be reached or started ({where}): {error}") from error
    try:
        yield
    finally:
        await finished(asyncio.to_thread(ray.shutdown))


def _check_reachable(address: str) -> None:
    """OSError where nothing answers; Ray itself would go on trying for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()


def cpus() -> int:
    """The CPUs that Ray has, on all its machines."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray's
    return max(1, int(resources.get("CPU", 1)))


def _start(local_cpus: int) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no reports to Ray's makers
    if address := os.environ.get("RAY_ADDRESS"):
        _check_reachable(address)
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
        return
    ray.init(
        address="local",
        num_cpus=local_cpus,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
