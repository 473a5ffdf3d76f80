"""One contender at one work, over the runs of one side of a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_embeddings.tracking.noise import costs_of
from vla_embeddings.tracking.recorded import Result, Row, Run

Suite = tuple[str, str]
"""Its name and size: what a turn is depends on the size."""
Work = tuple[str, str, str]
"""Likewise, and the work."""
Key = tuple[str, str, str, str]
"""Likewise, and the subject."""

TIMES = ("ms", "s", "/s")
MEASURED = (*TIMES, "MB")
QUIET = 0.05
"""Of several runs, those count in which others took no more of the processors than this beyond
the quietest: there is no use in a busy one beside it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured of it."""

    runs: int
    """How many quiet ones there are."""
    row: Row
    """The last one's."""
    costs: Sequence[float]
    """Logarithms of the time, or the megabytes, of each turn of the quiet runs; none of a
    quality."""
    tries: Sequence[float]
    """Of a share that is counted: 1 or 0 for each try of the quiet runs; none of another."""
    others: float
    """The share of the processors that other work took in these runs, at most, 0 to 1."""

    @property
    def best(self) -> float:
        """Of the costs."""
        return min(self.costs)

    @property
    def middle(self) -> float:
        """Of the costs."""
        return float(np.median(self.costs))

    @property
    def is_time(self) -> bool:
        """Whether it depends on how fast the machine is."""
        return self.row.unit in TIMES


def figures_of(run: Run) -> dict[Key, Figure]:
    """All but times that are not above zero, which are differences lost in their noise."""
    found: dict[Key, list[tuple[Result, Row]]] = {}
    for suite, results in run.results.items():
        for result in results:
            for row in result.findings.figures:
                if row.unit not in MEASURED or min(row.samples) > 0:
                    key = (suite, result.size, row.work, row.subject)
                    found.setdefault(key, []).append((result, row))
    return {key: _figure(seen) for key, seen in found.items()}


def pairs_of(new: Run, old: Run) -> dict[Key, tuple[Figure, Figure]]:
    """New and old of all that both measured in the same size."""
    before = figures_of(old)
    return {key: (figure, before[key]) for key, figure in figures_of(new).items() if key in before}


def _figure(seen: Sequence[tuple[Result, Row]]) -> Figure:
    quietest = min(result.others or 0.0 for result, _ in seen)
    quiet = [each for each in seen if (each[0].others or 0.0) <= quietest + QUIET]
    costs = [
        cost
        for _, row in quiet
        if row.unit in MEASURED
        for cost in costs_of(row.samples, more_is_better=row.unit == "/s")
    ]
    tries = [each for _, row in quiet if row.is_counted for each in row.turns]
    others = max(result.others or 0.0 for result, _ in quiet)
    return Figure(len(quiet), quiet[-1][1], costs, tries, others)
