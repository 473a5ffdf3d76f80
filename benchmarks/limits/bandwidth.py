"""The limit of memory: a single call reads every weight once, and that alone takes a time."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.models import Precision
from vla_embeddings.runtime import available_cpus

# Several times the last-level cache of a large server.
ARRAY_BYTES = 256 * 2**20
REPEATS = 3


@dataclass(frozen=True, slots=True)
class BandwidthLimit:
    """The fastest that all threads together read an array, measured anew at every turn.

    Each thread takes BLAS's dot product of its share with itself. Weights that stay in the
    processor's cache from call to call may beat it.
    """

    bytes_read: int
    """By one part, whatever its inputs."""
    name: str = "memory bandwidth"
    precisions: tuple[Precision, ...] = ("fp32",)

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        """Seconds that reading takes, for each part."""
        fastest = min(_seconds_to_read() for _ in range(REPEATS))
        return [self.bytes_read * fastest / ARRAY_BYTES for _ in parts]


def _seconds_to_read() -> float:
    shares = _shares()
    with ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(len, shares))  # the threads are there before the clock starts
        start = time.perf_counter()
        list(pool.map(lambda share: np.dot(share, share), shares))
        return time.perf_counter() - start


@cache
def _shares() -> list[NDArray[np.float32]]:
    return np.array_split(np.ones(ARRAY_BYTES // 4, np.float32), available_cpus())
