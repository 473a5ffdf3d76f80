"""Peers of the latency suite are measured, or named as absent."""

from collections.abc import Callable

import pytest

from benchmarks.peers.encoders import ENCODERS
from benchmarks.results import Findings
from benchmarks.size import TINY
from benchmarks.targets import ONE_INSTRUCTION


def test_peers_that_are_installed_here_make_the_same_vectors_and_say_what_they_run_on(
    find: Callable[[str], Findings],
) -> None:
    findings = find("latency")
    measured = {
        row.subject.rpartition(" ")[0]: row
        for row in findings.rows
        if row.whose == "peer" and row.work == ONE_INSTRUCTION
    }
    assert {"transformers", "optimum-onnx ORTModel"} <= measured.keys()  # by the export
    for row in measured.values():
        assert row.quality == pytest.approx(1, abs=1e-4)
        assert len(row.turns) == TINY.latency_turns
        assert findings.runs_on[row.subject].keys() & {"torch", "onnxruntime"}


def test_every_peer_is_measured_or_absent_with_the_reason(
    find: Callable[[str], Findings],
) -> None:
    findings = find("latency")
    measured = {f"{subject.rpartition(' ')[0]} (text)" for subject in findings.runs_on}
    absent = {each.contender for each in findings.absences if each.reason}
    absent -= {"ours int8 (image)"}  # where it was not exported
    assert not measured & absent
    assert measured | absent == {f"{name} ({kind})" for kind, name in ENCODERS}
