"""The limit of memory: a single call reads every weight once, and that alone takes a time."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.results import Unit
from vla_embeddings.models import Artifact, Precision
from vla_embeddings.runtime import available_cpus

# Several times the last-level cache of a large server.
ARRAY_BYTES = 256 * 2**20
REPEATS = 3


@dataclass(slots=True)
class Reading:
    """How long all threads together take to read an array, of several limits at one turn."""

    _fastest: float = 0.0
    _told: set[str] | None = None

    def fastest(self, limit: str) -> float:
        """Seconds, measured anew where this limit was told them already."""
        if self._told is None or limit in self._told:
            self._fastest, self._told = min(_seconds_to_read() for _ in range(REPEATS)), set()
        self._told.add(limit)
        return self._fastest


@dataclass(frozen=True, slots=True)
class BandwidthLimit:
    """The fastest that all threads together read the bytes of some weights.

    Each thread takes BLAS's dot product of its share of an array with itself. Weights that stay in
    the processor's cache from call to call may beat it.
    """

    bytes_read: int
    """By one part, whatever its inputs."""
    precision: Precision
    """Of the weights that are read."""
    reading: Reading
    """That of every turn, which those of all precisions share."""
    unit: Unit = "GB/s"
    figure: str = "memory bandwidth"

    @property
    def name(self) -> str:
        """Of the limit."""
        return f"{self.figure}, {self.precision}"

    @property
    def precisions(self) -> Sequence[Precision]:
        """The one whose weights these are."""
        return [self.precision]

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        """Seconds that reading takes, for each part."""
        fastest = self.reading.fastest(self.name)
        return [self.bytes_read * fastest / ARRAY_BYTES for _ in parts]

    def amount(self, part: slice) -> float:
        """Of what is read, in gigabytes."""
        return self.bytes_read / 1e9


def bandwidth_limits(artifacts: Sequence[Artifact]) -> list[BandwidthLimit]:
    """What reading the weights of each takes."""
    reading = Reading()
    return [
        BandwidthLimit(matrix_bytes(a.graph), a.manifest.precision, reading) for a in artifacts
    ]


def matrix_bytes(graph: Path) -> int:
    """Of the weights that a graph multiplies with, all of which every call reads."""
    model = onnx.load(graph).graph
    multiplied = {
        name
        for node in model.node
        if "MatMul" in node.op_type or "Attention" in node.op_type
        for name in node.input
    }
    return sum(each.ByteSize() for each in model.initializer if each.name in multiplied)


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
