"""What the machine itself did between two runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vla_embeddings.tracking.figures import Figure, Key, Suite, Work
from vla_embeddings.tracking.noise import ENOUGH, LEAST, SEVERAL, UNKNOWN, move_of, tolerance


@dataclass(frozen=True, slots=True)
class Drift:
    """How the machine moved, and how far a figure may move beside it; logarithms of time."""

    slower: float
    noise: float
    """By itself."""
    neighbours: float
    """By what others on the host did, which this machine sees in its contenders alone."""


@dataclass(frozen=True, slots=True)
class Same:
    """How a contender moved that is the same in both runs."""

    best: float
    """Its best turn, which says how fast the machine can be."""
    middle: float
    """Its turns, which says how fast it was."""


@dataclass(frozen=True, slots=True)
class Drifts:
    """Of every work that has enough contenders which are the same in both runs, and of all."""

    works: Mapping[Work, Drift]
    largest: Mapping[Work, float]
    """How far they moved at most, where there are any."""
    suites: Mapping[Suite, float]
    """How far they moved, work by work."""
    machine: float
    """Likewise, of all suites."""

    def of(self, key: Key, runs: int) -> Drift:
        """The work's own where it has one.

        Works without are not corrected, since not all that slows a peer slows a single
        function; that it may have counts as noise.

        Args:
            key: of the figure.
            runs: measured on the side that has fewer of them.
        """
        work = key[:3]
        if work in self.works:
            return self.works[work]
        alone = LEAST if runs >= SEVERAL else UNKNOWN
        known = self.largest.get(work, 0.0), self.suites.get(work[:2], 0.0)
        return Drift(0.0, alone, max(self.machine, *known))


def drifts(pairs: Mapping[Key, tuple[Figure, Figure]]) -> Drifts:
    """From the peers, of the same version, and the limits, new and old."""
    moved: dict[Work, list[Same]] = {}
    for key, (new, old) in pairs.items():
        if not new.row.ours and new.is_time:
            middle = move_of(new.costs, old.costs, 0.0).value
            moved.setdefault(key[:3], []).append(Same(new.best - old.best, middle))
    several = {work: each for work, each in moved.items() if len(each) >= ENOUGH}
    slower = {work: _median([same.best for same in each]) for work, each in several.items()}
    noise = tolerance(
        (same.best - slower[work] for work in several for same in several[work]),
        max(1, sum(new.row.ours for new, _ in pairs.values())),
    )
    suites: dict[Suite, list[float]] = {}
    for work, each in moved.items():
        suites.setdefault(work[:2], []).append(abs(_median([same.middle for same in each])))
    return Drifts(
        {
            work: Drift(
                slower[work], noise, _median([abs(same.middle - slower[work]) for same in each])
            )
            for work, each in several.items()
        },
        {work: max(abs(same.middle) for same in each) for work, each in moved.items()},
        {suite: _median(each) for suite, each in suites.items()},
        _median([move for each in suites.values() for move in each]),
    )


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else 0.0
