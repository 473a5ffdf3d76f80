"""A contest goes on whatever becomes of a peer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest

from benchmarks.bench import Bench
from benchmarks.contest import Work, contest
from benchmarks.peers.environment import PeerFailed, this_environment
from benchmarks.results import Absence

TURNS = [[slice(0, 1)]] * 5


class Failing:
    """A peer whose process is killed in a turn."""

    name, on = "failing 1.0", {"onnxruntime": "1.0"}

    def __init__(self, turns: int) -> None:
        self.turns = turns
        self.asked = 0

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        self.asked += 1
        if self.asked > self.turns:
            raise PeerFailed("its process ended, status -9: without a word")
        return [1.0] * len(parts)

    def vectors(self, part: slice) -> np.ndarray:
        return np.ones((part.stop, 384), np.float32)


def test_a_peer_that_fails_in_a_turn_is_named_and_the_others_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, lasting = Failing(3), Failing(1000)
    lasting.name = "lasting 1.0"

    @contextmanager
    def compete(*_: object) -> Iterator[tuple[list[Failing], list[Absence]]]:
        yield [failing, lasting], []

    monkeypatch.setattr("benchmarks.contest.compete", compete)
    beside = Bench(
        bench.size, bench.inputs, bench.config, peers=this_environment(), track=bench.track
    )
    work = Work("one instruction", TURNS, warm_up=slice(0, 1), warms_up_every_turn=False)
    with contest(beside, "text", ["pick up the cup"]) as field:
        standings, later = field.hold(work), field.hold(work)

    for held in (standings, later):
        names = [each.timings.name for each in held]
        assert names == [*map(beside.name_of, field.precisions), "lasting 1.0"]
        assert [each.agreement is None for each in held] == [*[True] * (len(held) - 1), False]
    assert failing.asked == 4
    reasons = [each for each in field.absences if each.contender.startswith("failing")]
    assert reasons == [
        Absence("failing 1.0 (text)", "its process ended, status -9: without a word")
    ]
