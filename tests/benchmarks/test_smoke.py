"""Every suite runs; how fast is not asked here."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import latency, quality, startup, throughput
from benchmarks.bench import Bench
from benchmarks.inputs import load_inputs
from benchmarks.machine import describe_machine
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.report import markdown
from benchmarks.results import Absence, Result, Row, load_results


def figures(rows: Sequence[Row], subject: str) -> list[float]:
    return [row.figure.median for row in rows if row.subject == subject]


def test_latency_times_every_exported_precision(bench: Bench) -> None:
    findings = latency.run(bench)
    precisions = [artifact.manifest.precision for artifact in bench.artifacts("text")]
    texts = [row for row in findings.rows if row.document == 15]
    assert [row.subject for row in texts] == [f"ours {precision}" for precision in precisions]
    missing = [absence.contender for absence in findings.absences]
    assert len(precisions) + sum(name.endswith("(text)") for name in missing) == 3
    assert all(figure > 0 for figure in figures(findings.rows, "ours fp32"))
    assert findings.rows[0].quality == pytest.approx(1, abs=1e-5)


def test_throughput_is_shown_beside_the_machines_limit(bench: Bench) -> None:
    findings = throughput.run(bench)
    assert len(figures(findings.rows, "sgemm peak")) == 2
    assert len(figures(findings.rows, "ours fp32")) == 2
    assert all(row.figure.median > 0 for row in findings.rows)
    assert [verdict.against for verdict in findings.verdicts] == ["sgemm peak"]


def test_a_new_process_makes_its_first_vector_without_torch(bench: Bench) -> None:
    findings = startup.run(bench)
    assert [verdict.unit for verdict in findings.verdicts] == ["s", "MB", ""]
    assert findings.verdicts[2].passed


def test_fp32_is_its_own_reference_in_quality(bench: Bench) -> None:
    findings = quality.run(bench)
    assert figures(findings.rows, "ours fp32") == pytest.approx([1, 1, 1], abs=1e-5)
    assert all(verdict.subject != "ours fp32" for verdict in findings.verdicts)


def test_quality_agrees_with_people_where_their_judgement_is_at_hand(
    bench: Bench, shared_data: Path
) -> None:
    real = replace(bench, inputs=load_inputs(bench.size, data=shared_data))
    works = [row.work for row in quality.run(real).rows]
    assert "Spearman, 8 pairs of STS benchmark dev" in works


def test_peers_that_cannot_run_are_named_with_the_reason(bench: Bench) -> None:
    environment = PeerEnvironment(Path("python"), "cannot be installed: no network")
    with environment.compete("text", ["pick up the cup"], bench.fp32) as (peers, absences):
        assert peers == []
    assert Absence("fastembed (text)", "cannot be installed: no network") in absences


def test_results_are_kept_and_make_a_page(bench: Bench, tmp_path: Path) -> None:
    findings = startup.run(bench)
    result = Result(
        suite="startup",
        size="full",
        finished="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        inputs=bench.inputs.origin,
        weights={"all-MiniLM-L6-v2": "trained"},
        machine=describe_machine(),
        findings=findings,
    )
    result.save(tmp_path)
    assert load_results(tmp_path) == [result]
    written = json.loads((tmp_path / "startup.json").read_text())
    assert {"passed", "bound"} <= written["findings"]["verdicts"][0].keys()
    assert "| **first vector in a new process** |" in markdown([result])
