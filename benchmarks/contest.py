"""One work, all contenders: who takes how long, and whether the vectors agree."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import starmap, zip_longest
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import Bench
from benchmarks.harness import Contender, Timings, interleave
from benchmarks.ours import Ours, serve
from benchmarks.results import Absence
from vla_embeddings.models import PRECISIONS, Kind, Precision

COMPARED = 16


class Embedder(Contender, Protocol):
    """A contender that can show its vectors."""

    def vectors(self, part: slice) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """A contender's timings and quality."""

    timings: Timings
    precision: Precision | None
    """Ours; None for a peer or a limit."""
    quality: float | None
    """Lowest cosine to our fp32 vectors; None for a limit."""


@dataclass(frozen=True, slots=True)
class Contest:
    """A work on a list of inputs, in turns of parts."""

    work: str
    kind: Kind
    inputs: Sequence[Any]
    turns: Sequence[Sequence[slice]]
    batch: bool
    """Batch calls, or one call an input."""
    warm_up: slice
    limits: Sequence[Contender] = ()

    def hold(self, bench: Bench) -> tuple[list[Standing], list[Absence]]:
        """Let ours in every precision, the peers and the limits take turns.

        Our fp32 is the first.
        """
        artifacts = bench.artifacts(self.kind)
        with ExitStack() as stack:
            ours: list[Ours] = [
                stack.enter_context(serve(each, self.inputs, bench.config, batch=self.batch))
                for each in artifacts
            ]
            peers, absences = (
                stack.enter_context(bench.peers.compete(self.kind, self.inputs, bench.fp32))
                if bench.peers
                else ([], [])
            )
            embedders: list[Embedder] = [*ours, *peers]
            contenders: list[Contender] = [*embedders, *self.limits]
            advance = bench.track(self.work, len(contenders) * len(self.turns))
            timings = interleave(contenders, self.turns, warm_up=self.warm_up, advance=advance)
            qualities = _qualities(embedders, len(self.inputs))
        precisions: list[Precision] = [each.manifest.precision for each in artifacts]
        standings = list(starmap(Standing, zip_longest(timings, precisions, qualities)))
        return standings, [*_not_exported(self.kind, precisions), *absences]


def _not_exported(kind: Kind, exported: Sequence[Precision]) -> list[Absence]:
    return [
        Absence(f"ours {each} ({kind})", "not exported")
        for each in PRECISIONS
        if each not in exported
    ]


def _qualities(embedders: Sequence[Embedder], inputs: int) -> list[float]:
    part = slice(0, min(COMPARED, inputs))
    vectors = [embedder.vectors(part) for embedder in embedders]
    return [float(np.einsum("nd,nd->n", vectors[0], each).min()) for each in vectors]
