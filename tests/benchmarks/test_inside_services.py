"""The suites of what runs inside an inference service, and beside its tables."""

from benchmarks import backfill, inference, recorder
from benchmarks.bench import Bench


def test_an_inference_is_timed_with_and_without_embeddings(bench: Bench) -> None:
    findings = inference.run(bench)

    assert [verdict.subject for verdict in findings.verdicts] == ["added at p50", "added at p99"]
    works = {row.work for row in findings.rows}
    assert len(works) == 3
    for row in findings.rows:
        if row.subject in ("embeddings off", "embeddings on"):
            assert row.figure.median > 10
        if row.subject.startswith("share"):
            assert 0 <= row.figure.median <= 1


def test_all_that_was_accepted_is_stored_though_the_database_was_gone(bench: Bench) -> None:
    [verdict] = recorder.run(bench).verdicts

    assert verdict.figure.median == verdict.bound == 1
    assert verdict.passed


def test_a_backfill_is_held_against_its_encoder(bench: Bench) -> None:
    findings = backfill.run(bench)

    assert [row.subject for row in findings.rows] == ["backfill", "encoder alone"]
    assert all(row.work == "16 instructions" for row in findings.rows)
    [verdict] = findings.verdicts
    assert (verdict.against, verdict.bound) == ("encoder alone", 0.9)
    assert verdict.figure.median > 0
