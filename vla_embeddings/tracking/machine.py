"""What the machine itself did between two runs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vla_embeddings.tracking.figures import Figure, Key, Work
from vla_embeddings.tracking.noise import ENOUGH, LEAST, SEVERAL, UNKNOWN, tolerance


@dataclass(frozen=True, slots=True)
class Drift:
    """How the machine moved, and how far a figure may move beside it; both logarithms of time."""

    slower: float
    noise: float


@dataclass(frozen=True, slots=True)
class Drifts:
    """Of every work that has enough contenders which are the same in both runs, and of all."""

    works: Mapping[Work, Drift]
    machine: float

    def of(self, key: Key, runs: int) -> Drift:
        """The work's own where it has one.

        Works without are not corrected, since not all that slows a peer slows a single
        function; that it may have counts as noise.

        Args:
            key: of the figure.
            runs: measured on the side that has fewer of them.
        """
        alone = LEAST if runs >= SEVERAL else UNKNOWN
        return self.works.get(key[:3], Drift(0.0, max(alone, abs(self.machine))))


def drifts(pairs: Mapping[Key, tuple[Figure, Figure]]) -> Drifts:
    """From the peers, of the same version, and the limits, new and old."""
    moved: dict[Work, list[float]] = {}
    for key, (new, old) in pairs.items():
        if not new.row.ours and new.is_time:
            moved.setdefault(key[:3], []).append(new.best - old.best)
    ours = max(1, sum(new.row.ours for new, _ in pairs.values()))
    moved = {work: each for work, each in moved.items() if len(each) >= ENOUGH}
    middles = {work: float(np.median(each)) for work, each in moved.items()}
    noise = tolerance((value - middles[work] for work in moved for value in moved[work]), ours)
    return Drifts(
        {work: Drift(value, noise) for work, value in middles.items()},
        float(np.median(list(middles.values()))) if middles else 0.0,
    )
