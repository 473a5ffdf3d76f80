"""What the machine itself did between two runs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vla_embeddings.tracking.noise import ratio_of, tolerance
from vla_embeddings.tracking.recorded import Row, Run

Key = tuple[str, str, str]
"""Suite, work and subject."""

TIMES = ("ms", "s", "/s")


@dataclass(frozen=True, slots=True)
class Drift:
    """How the machine moved, and by how much a figure may move beside it."""

    slower: float
    """The machine's new seconds to its old ones."""
    noise: float


@dataclass(frozen=True, slots=True)
class Drifts:
    """Of every work that has contenders which are the same in both runs, and of the whole run."""

    works: Mapping[tuple[str, str], Drift]
    run: Drift

    def of(self, suite: str, work: str) -> Drift:
        """The work's own where it has one."""
        return self.works.get((suite, work), self.run)


def rows_of(run: Run) -> dict[Key, Row]:
    """All rows of a run."""
    return {
        (suite, row.work, row.subject): row
        for suite, result in run.results.items()
        for row in result.findings.rows
    }


def slowdown(new: Row, old: Row) -> float:
    """The logarithm of new seconds to old ones."""
    logarithm = math.log(ratio_of(new.samples, old.samples).value)
    return -logarithm if new.unit == "/s" else logarithm


def drifts(new: Mapping[Key, Row], old: Mapping[Key, Row]) -> Drifts:
    """From the peers, of the same version, and the limits that both runs measured."""
    moved: dict[tuple[str, str], list[float]] = {}
    for key, row in new.items():
        if key in old and not row.ours and row.unit in TIMES:
            moved.setdefault(key[:2], []).append(slowdown(row, old[key]))
    middles = {work: float(np.median(each)) for work, each in moved.items()}
    beside = [value - middles[work] for work, each in moved.items() for value in each]
    noise = tolerance(beside)
    middle = float(np.median(list(middles.values()))) if middles else 0.0
    return Drifts(
        {work: Drift(math.exp(value), noise) for work, value in middles.items()},
        Drift(math.exp(middle), max(noise, tolerance(v - middle for v in middles.values()))),
    )
