"""What memory is watched over, and which level is judged."""

import os
from pathlib import Path

import pytest

from benchmarks import memory, startup
from benchmarks.bench import Bench
from benchmarks.memory_process import RARER, kind_of, resident_megabytes


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


def test_resident_memory_is_told_in_millions_of_bytes() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert resident_megabytes() == pytest.approx(
        pages * os.sysconf("SC_PAGE_SIZE") / 1e6, rel=0.01
    )


def test_a_new_process_tells_its_resident_memory_in_millions_of_bytes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it counts its own pages at that moment, in place of whether PyTorch was imported."""
    size = os.sysconf("SC_PAGE_SIZE")
    counted = f"{size} * int(open('/proc/self/statm').read().split()[1])"
    program = startup.PROGRAM.replace('"torch" in sys.modules', counted)
    monkeypatch.setattr("benchmarks.startup.PROGRAM", program)
    start = startup._start(bench)
    assert start.megabytes == pytest.approx(start.torch / 1e6, rel=0.01)
