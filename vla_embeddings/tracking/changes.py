"""What changed between two runs of the benchmarks."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from vla_embeddings.errors import InvalidInput
from vla_embeddings.tracking.figures import Figure, pairs_of
from vla_embeddings.tracking.machine import Drift, drifts
from vla_embeddings.tracking.noise import FEW, LEAST, crowding, enough, move_of, share_move
from vla_embeddings.tracking.recorded import Row, Run

Judgement = Literal["worse", "better", "same"]

QUALITY_NOISE = 0.005
"""Cosines, shares, correlations and counts hardly depend on the machine."""
RECALL_NOISE = 0.03
"""An index that is built anew finds others of a few queries."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of ours in both runs."""

    suite: str
    work: str
    subject: str
    unit: str
    old: float
    """The median of its turns; of a quality, its value."""
    new: float
    """Likewise."""
    ratio: float
    """New to old, the machine's own change taken out."""
    machine: float
    """How many times the old seconds the machine took in the new run."""
    noise: float
    """The share within which the ratio means nothing: what is slower by more is worse."""
    judgement: Judgement


def compare(old: Run, new: Run) -> list[Change]:
    """Every figure of ours that both runs have, judged.

    A speed changed where its ratio lies beyond its noise; see `vla_embeddings.tracking.noise`.

    Raises:
        InvalidInput: the runs are of different machines, or have no figure in common.
    """
    machines = old.machines | new.machines
    if len(machines) > 1:
        raise InvalidInput(
            f"Expected two runs of one machine; got {' and '.join(sorted(machines))}. "
            "Run both commits on the same one, and name files of that one alone."
        )
    pairs = pairs_of(new, old)
    moved = drifts(pairs)
    changes = [
        change
        for key, (after, before) in pairs.items()
        if after.row.ours
        for change in _changes(key[0], after, before, moved.of(key, min(after.runs, before.runs)))
    ]
    if not changes:
        raise InvalidInput(
            f"{old.source} and {new.source} have no figure in common: run the same suites, "
            "in the same size."
        )
    return changes


def _changes(suite: str, new: Figure, old: Figure, drift: Drift) -> Iterator[Change]:
    row = new.row
    if new.is_time:
        beside = max(drift.neighbours, crowding(max(old.others, new.others)))
        yield _of_cost(suite, new, old, drift.slower, drift.noise + beside)
    elif row.unit == "MB":
        yield _of_cost(suite, new, old, 0.0, LEAST)
    elif new.tries and old.tries:
        yield _of_share(suite, new, old)
    else:
        yield _of_quality(suite, row, row.work, old.row.figure.median, row.figure.median)
    known = dict(old.row.qualities)
    for name, value in row.qualities:
        if name in known:
            yield _of_quality(suite, row, f"{row.work}, {name}", known[name], value)


def _of_cost(suite: str, new: Figure, old: Figure, slower: float, apart: float) -> Change:
    """On a machine that is so much slower, where the same code may lie so far apart."""
    row, sign = new.row, -1 if new.row.unit == "/s" else 1
    move = move_of(new.costs, old.costs, slower)
    told = not new.is_time or enough(new.costs, old.costs)
    noise = apart + (move.doubt if told else FEW)
    judgement: Judgement = "same"
    if abs(move.value) > noise:
        judgement = "worse" if move.value > 0 else "better"
    return Change(
        suite,
        row.work,
        row.subject,
        row.unit,
        math.exp(sign * old.middle),
        math.exp(sign * new.middle),
        math.exp(sign * move.value),
        math.exp(slower),
        math.expm1(noise),
        judgement,
    )


def _of_share(suite: str, new: Figure, old: Figure) -> Change:
    move = share_move(new.tries, old.tries)
    noise = move.doubt + max(old.others, new.others)
    shares = fmean(old.tries), fmean(new.tries)
    return _without_unit(suite, new.row, new.row.work, *shares, move.value, noise)


def _of_quality(suite: str, row: Row, work: str, old: float, new: float) -> Change:
    noise = RECALL_NOISE if "recall" in work else QUALITY_NOISE
    worst = math.inf if row.at_most else -math.inf
    before, after = (worst if math.isnan(value) else value for value in (old, new))
    return _without_unit(suite, row, work, old, new, after - before, noise)


def _without_unit(
    suite: str, row: Row, work: str, old: float, new: float, move: float, noise: float
) -> Change:
    judgement: Judgement = "same"
    if abs(move) > noise:
        judgement = "worse" if (move > 0) is row.at_most else "better"
    ratio = new / old if old else math.inf if new else 1.0
    return Change(suite, work, row.subject, "", old, new, ratio, 1.0, noise, judgement)
