"""What changed between two runs of the benchmarks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from vla_embeddings.errors import InvalidInput
from vla_embeddings.tracking.machine import TIMES, Drift, drifts, rows_of
from vla_embeddings.tracking.noise import LEAST, Ratio, ratio_of
from vla_embeddings.tracking.recorded import Row, Run

Judgement = Literal["worse", "better", "same"]

QUALITY_NOISE = 0.005
"""Cosines, shares and correlations hardly depend on the machine."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of ours in both runs."""

    suite: str
    work: str
    subject: str
    unit: str
    old: float
    new: float
    ratio: Ratio
    """New to old, the machine's own change taken out."""
    machine: float
    """How many times the old seconds the machine took in the new run."""
    noise: float
    """The share within which the ratio means nothing."""
    judgement: Judgement


def compare(old: Run, new: Run) -> list[Change]:
    """Every figure of ours that both runs have, judged.

    A figure changed where the whole 99 % interval of its ratio lies beyond the noise; see
    `vla_embeddings.tracking.noise`.

    Raises:
        InvalidInput: the runs are of different machines, or have no figure in common.
    """
    machines = old.machines | new.machines
    if len(machines) > 1:
        raise InvalidInput(
            f"Expected two runs of one machine; got {' and '.join(sorted(machines))}. "
            "Run both commits on the same one."
        )
    rows_old, rows_new = rows_of(old), rows_of(new)
    moved = drifts(rows_new, rows_old)
    changes = [
        change
        for key, row in rows_new.items()
        if key in rows_old and row.ours
        for change in _changes(key[0], row, rows_old[key], moved.of(key[0], key[1]))
    ]
    if not changes:
        raise InvalidInput(
            f"{old.source} and {new.source} have no figure in common: run the same suites."
        )
    return changes


def _changes(suite: str, new: Row, old: Row, drift: Drift) -> Iterator[Change]:
    if min(*new.samples, *old.samples) <= 0:
        return  # a difference of two times, lost in their noise
    if new.unit in TIMES:
        yield _of_speed(suite, new, old, drift)
    elif new.unit == "MB":
        yield _of_speed(suite, new, old, Drift(1.0, LEAST))
    else:
        yield _of_quality(suite, new, new.work, old.figure.median, new.figure.median)
    known = dict(old.qualities)
    for name, value in new.qualities:
        if name in known:
            yield _of_quality(suite, new, f"{new.work}, {name}", known[name], value)


def _of_speed(suite: str, new: Row, old: Row, drift: Drift) -> Change:
    more_is_better = new.unit == "/s"
    expected = 1 / drift.slower if more_is_better else drift.slower
    ratio = ratio_of(new.samples, old.samples).over(expected)
    judgement: Judgement = "same"
    if ratio.low > 1 + drift.noise:
        judgement = "better" if more_is_better else "worse"
    elif ratio.high < 1 / (1 + drift.noise):
        judgement = "worse" if more_is_better else "better"
    return Change(
        suite,
        new.work,
        new.subject,
        new.unit,
        old.figure.median,
        new.figure.median,
        ratio,
        drift.slower,
        drift.noise,
        judgement,
    )


def _of_quality(suite: str, row: Row, work: str, old: float, new: float) -> Change:
    judgement: Judgement = "same"
    if abs(new - old) > QUALITY_NOISE:
        judgement = "better" if new > old else "worse"
    ratio = new / old if old else 1.0
    exact = Ratio(ratio, ratio, ratio)
    return Change(suite, work, row.subject, "", old, new, exact, 1.0, QUALITY_NOISE, judgement)
