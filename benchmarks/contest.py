"""One kind of input, all contenders: who takes how long, and whether the vectors agree."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import Bench, Track
from benchmarks.devices import RUNS_ON
from benchmarks.harness import Contender, Timings, interleave
from benchmarks.ours import serve
from benchmarks.peers.environment import PeerFailed
from benchmarks.peers.peer import Peer, compete
from benchmarks.results import Absence, Unit
from vla_embeddings.models import Kind, Precision

COMPARED = 16
"""Inputs whose vectors tell that a peer computes the same: its weights are ours."""

Agreement = tuple[float, int]
"""The lowest cosine to our fp32 vectors, and of how many inputs."""


class Embedder(Contender, Protocol):
    """A contender that can show its vectors."""

    def vectors(self, part: slice) -> NDArray[np.float32]: ...


@dataclass(slots=True)
class Rival:
    """A peer in a contest, which goes on without it once it fails."""

    peer: Peer
    kind: Kind
    absences: list[Absence]
    failed: bool = False

    @property
    def name(self) -> str:
        """The peer's."""
        return self.peer.name

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        """The peer's; no numbers once it has failed, and it is not asked again."""
        if not self.failed:
            try:
                return self.peer.seconds(parts)
            except PeerFailed as error:
                self.failed = True
                self.absences.append(Absence(f"{self.name} ({self.kind})", str(error)))
        return [math.nan] * len(parts)


class Limit(Contender, Protocol):
    """What the machine can do, as a contender."""

    @property
    def precisions(self) -> Sequence[Precision]:
        """Those whose figures it bounds."""
        ...

    @property
    def figure(self) -> str:
        """What the machine's own is called; limits of several precisions may share one."""
        ...

    @property
    def unit(self) -> Unit:
        """That of the machine's own figure, such as GB/s."""
        ...

    def amount(self, part: slice) -> float:
        """What the part takes of it: gigabytes, or thousands of millions of operations."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """Something to do with a list of inputs, in turns of parts."""

    name: str
    turns: Sequence[Sequence[slice]]
    """A part of one input is a single call, a longer one a batch call."""
    warm_up: slice
    warms_up_every_turn: bool = True
    """And some times at first; not where a turn is so long that waking up is nothing beside it."""
    limits: Sequence[Limit] = ()
    pause: float = 0.0
    """Seconds of rest before each part."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A contender's timings and quality."""

    timings: Timings
    precision: Precision | None
    """Ours; None for a peer or a limit."""
    agreement: Agreement | None
    """A peer's; None for ours, whose qualities are measured on all inputs, and for a limit."""
    bounds: Sequence[Precision] = ()
    """Those whose figures it is a limit to."""

    def is_called(self, name: str) -> bool:
        """Whether this is the limit, or any version of the peer, of that name."""
        return name in (self.timings.name, self.timings.name.rpartition(" ")[0])


@dataclass(frozen=True, slots=True)
class Contest:
    """Ours in every precision, our fp32 first, and the peers; all loaded."""

    embedders: Sequence[Contender]
    precisions: Sequence[Precision]
    """Those of ours."""
    agreements: Sequence[Agreement | None]
    """Of each embedder; see `Standing`."""
    absences: list[Absence]
    """Those so far; a work may add to them."""
    runs_on: dict[str, dict[str, str]]
    """As in `Findings`."""
    _track: Track

    def hold(self, work: Work) -> list[Standing]:
        """Let them and the work's limits take turns; those of a peer that fails are dropped."""
        count = len(self.embedders) + len(work.limits)
        timings = interleave(
            self.embedders,
            work.turns,
            warm_up=work.warm_up,
            every_turn=work.warms_up_every_turn,
            limits=work.limits,
            pause=work.pause,
            advance=self._track(work.name, count * len(work.turns)),
        )
        precisions = [*self.precisions, *[None] * (len(self.embedders) - len(self.precisions))]
        all_held = map(Standing, timings, precisions, self.agreements)
        held = [each for each in all_held if not math.isnan(each.timings.overall.median)]
        beyond = zip(timings[len(self.embedders) :], work.limits, strict=True)
        return [*held, *(Standing(each, None, None, limit.precisions) for each, limit in beyond)]


@contextmanager
def contest(bench: Bench, kind: Kind, inputs: Sequence[Any]) -> Iterator[Contest]:
    """Load all contenders for a kind of input; a peer that then fails is left out."""
    artifacts = bench.artifacts(kind)
    precisions: list[Precision] = [each.manifest.precision for each in artifacts]
    absences, runs_on = _not_exported(kind, bench, precisions), dict[str, dict[str, str]]()
    with ExitStack() as stack:
        ours = [stack.enter_context(serve(each, inputs, bench)) for each in artifacts]
        embedders: list[Contender] = [*ours]
        agreements: list[Agreement | None] = [None] * len(ours)
        if bench.peers:
            exact = ours[0].vectors(slice(0, min(COMPARED, len(inputs))))
            competing = compete(bench.peers, kind, inputs, bench.fp32, bench.place)
            peers, missing = stack.enter_context(competing)
            absences += missing
            for peer in peers:
                try:
                    agreements.append(_agreement(peer, exact))
                    embedders.append(Rival(peer, kind, absences))
                    runs_on[peer.name] = dict(peer.on)
                except PeerFailed as error:
                    absences.append(Absence(f"{peer.name} ({kind})", str(error)))
        yield Contest(embedders, precisions, agreements, absences, runs_on, bench.track)


def _not_exported(kind: Kind, bench: Bench, exported: Sequence[Precision]) -> list[Absence]:
    missing = [each for each in RUNS_ON[bench.device] if each not in exported]
    return [Absence(f"ours {each} ({kind})", "not exported") for each in missing]


def _agreement(peer: Embedder, exact: NDArray[np.float32]) -> Agreement:
    """With our fp32 vectors of the first inputs."""
    cosines = np.einsum("nd,nd->n", peer.vectors(slice(0, len(exact))), exact)
    return float(cosines.min()), len(exact)
