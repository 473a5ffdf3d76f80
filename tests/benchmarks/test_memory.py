"""What memory is watched over, and which level is judged."""

import pytest

from benchmarks import memory
from benchmarks.bench import Bench
from benchmarks.memory_process import RARER, kind_of


def test_every_kind_of_call_comes_before_the_level_that_others_are_held_to() -> None:
    first = {kind_of(call) for call in range(1, int(memory.SETTLED_OF_FEW * memory.CALLS["full"]))}
    assert first == {"text", *RARER.values()}


def test_a_level_in_between_is_judged_though_memory_is_given_back_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [(10.0, 50.0), (20.0, 100.0), (30.0, 120.0), (40.0, 100.0)]
    monkeypatch.setattr("benchmarks.memory._resident", lambda *_: iter(points))
    findings = memory.run(bench)
    [verdict] = findings.verdicts
    assert verdict.figure.median == pytest.approx(1.2)
    assert not verdict.passed
    assert findings.rows[0].figure.median == 120
