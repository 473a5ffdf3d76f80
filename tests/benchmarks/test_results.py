"""Results as data."""

from pydantic import TypeAdapter

from benchmarks.results import Findings, Series


def test_findings_written_before_there_were_charts_load() -> None:
    old = '{"rows": [], "verdicts": [], "absences": []}'
    assert TypeAdapter(Findings).validate_json(old) == Findings([], [], [])


def test_joined_findings_keep_the_lines_of_their_charts() -> None:
    line = Series("latency-tokens", "ours fp32", "tokens", "p50, ms", [(8.0, 1.5), (16.0, 2.5)])
    part = Findings([], [], [], [line])
    assert Findings.joined([part, part]).series == [line, line]
