"""Results as data."""

from pydantic import TypeAdapter

from benchmarks.report.words import title_of_suite
from benchmarks.results import Findings, Series, name_of_suite, quoted
from tests.benchmarks.report.example import result


def test_findings_written_before_there_were_charts_load() -> None:
    old = '{"rows": [], "verdicts": [], "absences": []}'
    assert TypeAdapter(Findings).validate_json(old) == Findings([], [], [])


def test_joined_findings_keep_the_lines_of_their_charts() -> None:
    line = Series("latency-tokens", "ours fp32", "tokens", "p50, ms", [(8.0, 1.5), (16.0, 2.5)])
    part = Findings([], [], [], [line])
    assert Findings.joined([part, part]).series == [line, line]


def test_a_long_run_and_a_gpus_stand_beside_the_full_one_under_names_of_their_own() -> None:
    names = [
        name_of_suite("latency", size, on_gpu=on_gpu)
        for on_gpu in (False, True)
        for size in ("full", "long")
    ]
    assert {name: title_of_suite(name) for name in names} == {
        "latency": "Latency",
        "latency-long": "Latency, long run",
        "latency-gpu": "Latency on a GPU",
        "latency-gpu-long": "Latency on a GPU, long run",
    }


def test_a_suites_long_run_is_quoted_where_there_is_one() -> None:
    results = [result(name, Findings([], [], [])) for name in ("cache", "search", "search-long")]
    assert [each.suite for each in quoted(results)] == ["cache", "search-long"]
