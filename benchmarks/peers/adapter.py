"""What a peer is to the worker that runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Embed = Callable[[list[Any]], Vectors]
"""Texts, or the bytes of JPEGs, to unit vectors (n, dimension) float32."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer is to run."""

    device: Literal["cpu", "cuda"]
    threads: int
    """On the CPU."""

    @property
    def provider(self) -> str:
        """ONNX Runtime's name for it."""
        return "CPUExecutionProvider" if self.device == "cpu" else "CUDAExecutionProvider"


@dataclass(frozen=True, slots=True)
class Adapter:
    """A peer's package on PyPI, and how to load it from a folder of files."""

    package: str
    load: Callable[[Path, Place], Embed]
    on: tuple[str, ...]
    """The packages that do its work."""
    on_gpu: bool = True
    """Whether it can run on NVIDIA's."""
    half_on_gpu: bool = False
    """Whether it computes there in half precision, as its row then says."""

    def name_in(self, place: Place, name: str) -> str:
        """Its name in the tables, with what differs from fp32."""
        half = self.half_on_gpu and place.device == "cuda"
        return f"{name}, fp16" if half else name


def in_batches(embed: Embed, size: int) -> Embed:
    """The same, at most `size` inputs at a time."""

    def many(inputs: list[Any]) -> Vectors:
        starts = range(0, len(inputs), size)
        return np.concatenate([embed(inputs[start : start + size]) for start in starts])

    return many
