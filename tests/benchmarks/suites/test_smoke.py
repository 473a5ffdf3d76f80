"""Every suite runs; how fast is not asked here."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from benchmarks import quality, throughput
from benchmarks.bench import Bench
from benchmarks.images import STAGES
from benchmarks.inference import READY
from benchmarks.inputs import load_inputs
from benchmarks.machine import PACKAGES, describe_machine
from benchmarks.peers.clients import CLIENTS
from benchmarks.report import markdown
from benchmarks.results import Findings, Result, Row, load_results
from benchmarks.suites import SUITES, summary
from benchmarks.targets import ONE_IMAGE, ONE_INSTRUCTION, PACED_INSTRUCTION

# Each suite runs within the first test that asks for it.
pytestmark = pytest.mark.timeout(900)

Find = Callable[[str], Findings]


def figures(rows: Sequence[Row], subject: str) -> list[float]:
    return [row.figure.median for row in rows if row.subject == subject]


def charts(findings: Findings) -> set[str]:
    return {series.chart for series in findings.series}


def test_every_turn_of_the_throughput_gets_short_and_long_texts_alike() -> None:
    texts = [str(number) for number in range(12)]
    lengths = [1, 9, 1, 5, 9, 5, 1, 9, 5, 5, 1, 9]
    dealt = [texts[place] for place in throughput.dealt(lengths, 4)]
    assert sorted(dealt) == sorted(texts)
    turns = [dealt[start : start + 3] for start in range(0, 12, 3)]
    assert [sorted(lengths[int(text)] for text in turn) for turn in turns] == [[1, 5, 9]] * 4


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_finds_figures_of_ours(name: str, find: Find) -> None:
    findings = find(name)
    assert [row for row in findings.rows if row.subject.startswith("ours")]
    assert all(line.points for line in findings.series)
    named = Counter((row.work, row.subject) for row in findings.rows)
    assert set(named.values()) == {1}  # what runs are compared by


PEERS = {
    "CREATE INDEX, default settings",
    "asyncpg COPY and UPDATE FROM",
    "asyncpg copy_records_to_table",
    "asyncpg executemany",
    "asyncpg, exact scan",
    "asyncpg, hnsw.iterative_scan",
    "asyncpg, pgvector's README",
    "asyncpg fetch, same SQL",
    "asyncpg unnest, 2,000 at a time",
    "embeddings off",
    "redis-py GET",
    "redis-py MGET + np.frombuffer",
    "redis-py pipeline of SET",
    "threshold in WHERE",
}
"""All that are measured in this process; none is a figure of ours."""


@pytest.mark.parametrize("name", SUITES)
def test_no_figure_of_ours_is_taken_for_a_peers(name: str, find: Find) -> None:
    findings = find(name)
    peers = {row.subject for row in findings.rows if row.whose == "peer"}
    assert peers <= PEERS | findings.runs_on.keys()


@pytest.mark.parametrize("name", SUITES)
def test_every_quality_tells_its_model_and_every_cosine_its_inputs(name: str, find: Find) -> None:
    models = {"all-MiniLM-L6-v2", "clip-vit-base-patch32"}
    rows = [row for row in find(name).rows if row.quality is not None]
    assert all(row.model in models and row.compared for row in rows)
    assert all(row.model == "clip-vit-base-patch32" for row in rows if "640x480" in row.work)
    judged = find("quality").verdicts if name == "quality" else []
    assert all(verdict.model in models for verdict in judged)


def test_ours_has_the_same_cosine_in_every_suite(find: Find) -> None:
    shown: dict[tuple[str | None, str], set[float | None]] = {}
    for suite in ("latency", "throughput", "images", "concurrency", "backfill"):
        for row in find(suite).rows:
            if row.whose == "ours" and row.quality is not None:
                name, _, _ = row.subject.partition(",")
                shown.setdefault((row.model, name), set()).add(row.quality)
    assert all(len(cosines) == 1 for cosines in shown.values())


def test_every_suite_says_in_a_line_what_it_does() -> None:
    assert all(10 < len(summary(suite)) < 90 for suite in SUITES.values())


def test_latency_times_an_instruction_in_fp32_and_int8(find: Find) -> None:
    findings = find("latency")
    for work in (ONE_INSTRUCTION, PACED_INSTRUCTION):
        ours = [row for row in findings.rows if row.work == work and "ours" in row.subject]
        assert all(row.share and row.limit for row in ours)
        assert [row.subject for row in ours] == ["ours fp32", "ours int8"]
        assert {row.document for row in ours} == {15}
    assert findings.rows[0].quality == pytest.approx(1, abs=1e-5)
    assert 0.99 < (findings.rows[1].quality or 0) < 1


def test_latency_is_drawn_by_tokens_and_by_batch(find: Find) -> None:
    [by_tokens, *_] = find("latency").series
    assert [x for x, _ in by_tokens.points] == [8, 16, 32, 64, 128, 256]
    [by_batch, *_] = find("throughput").series
    assert [x for x, _ in by_batch.points] == [1, 4, 16, 64]
    assert by_batch.x == "instructions of 12 tokens in a call"


def test_speed_is_shown_beside_quality_and_as_a_share_of_the_limit(
    find: Find,
) -> None:
    for suite, limits in (
        ("latency", {"sgemm peak", "memory bandwidth, fp32"}),
        ("throughput", {"sgemm peak"}),
    ):
        row = find(suite).rows[0]
        assert row.subject == "ours fp32"
        assert row.neighbours == pytest.approx(1)
        assert row.share is not None
        assert row.share > 0
        assert row.limit in limits


def test_throughput_is_judged_by_the_machines_limit(find: Find) -> None:
    findings = find("throughput")
    assert len(figures(findings.rows, "sgemm peak")) == 2
    against = {verdict.against for verdict in findings.verdicts}
    assert {"sgemm peak"} <= against <= {"sgemm peak", "ours fp32"}  # the latter of int8


def test_an_images_cost_is_split_for_every_kind_and_size(find: Find) -> None:
    findings = find("images")
    assert charts(findings) == {"image-cost"}
    assert {len(line.points) for line in findings.series} == {5}
    works = {row.work for row in findings.rows}
    assert {"cost of a 640x480 PNG", "cost of a 1920x1080 JPEG"} <= works


def test_every_stage_of_an_image_is_timed_and_none_is_negative(find: Find) -> None:
    rows = find("images").rows
    for stage in STAGES:
        stages = [row for row in rows if row.subject.endswith(f", {stage}")]
        assert all(row.figure.low >= 0 for row in stages)
    assert min(figures(rows, "ours fp32, decode")) > 0
    assert min(figures(rows, "ours fp32, graph")) > 1


def test_the_graph_of_an_image_is_held_against_the_peak_of_its_precision(
    bench: Bench, find: Find
) -> None:
    graphs = [row for row in find("images").rows if row.subject.endswith(", graph")]
    assert len(graphs) == 8 * len(bench.artifacts("image"))
    for row in graphs:
        assert row.limit == ("sgemm peak" if "fp32" in row.subject else "int8 GEMM peak")
        assert row.quality is not None


def test_the_machines_own_figures_stand_in_their_units_once(find: Find) -> None:
    own = {row.subject: row.unit for row in find("latency").rows if "this machine" in row.work}
    assert own["sgemm peak"] == "GFLOP/s"
    assert own["int8 GEMM peak"] == "GOP/s"
    assert own["memory bandwidth"] == "GB/s"


def test_speeds_of_many_callers_carry_quality_and_the_share_of_the_peak(find: Find) -> None:
    rows = [row for row in find("concurrency").rows if row.subject.startswith("ours")]
    assert all(row.share for row in rows if row.unit == "/s")
    assert all(row.neighbours for row in rows if "caller" in row.work and "lag" not in row.work)


def test_a_suite_says_what_it_was_measured_on_where_that_is_not_the_runs_inputs(
    find: Find,
) -> None:
    assert find("cache").inputs.startswith("random vectors; ")
    assert "PostgreSQL 18" in find("search").inputs
    assert find("micro").inputs == "generated instructions and a drawn scene"
    assert find("memory").inputs == "generated instructions and drawn scenes"
    assert find("startup").inputs == "one instruction"
    assert find("images").inputs.endswith("resized to the other sizes")
    assert find("latency").inputs == ""


def test_the_cache_is_timed_beside_redis_py_and_with_redis_down(
    find: Find,
) -> None:
    findings = find("cache")
    assert "redis-py GET" in {row.subject for row in findings.rows}
    assert charts(findings) == {"cache-faults"}
    assert len(findings.series) == 3
    computed = [each for each in findings.verdicts if each.work.endswith("computations")]
    assert [verdict.figure.median for verdict in computed] == [1]


def test_the_clients_of_the_table_are_those_of_the_suites(find: Find) -> None:
    for suite, client in (("cache", "redis-py"), ("search", "asyncpg")):
        assert client in CLIENTS
        assert any(row.subject.startswith(client) for row in find(suite).rows)
        assert {*CLIENTS[client].on} <= {*PACKAGES}


def test_searches_carry_their_recall(find: Find) -> None:
    findings = find("search")
    curve = [row for row in findings.rows if "ef_search" in row.work]
    assert len(curve) == 6
    assert all(row.recall is not None and row.recall > 0.5 for row in curve)
    assert charts(findings) == {"recall-ef-search"}
    found = {(row.work, row.subject): row.recall for row in findings.rows}
    for work in ("top 10 by HNSW", "threshold that 3 rows reach"):
        assert found[work, "asyncpg, pgvector's README"] is not None
    for work in ("top 10, 1 % pass a filter", "top 10, 0.1 % pass it"):
        assert found[work, "asyncpg, exact scan"] == 1
        assert found[work, "asyncpg, hnsw.iterative_scan"] is not None
    named = {row.work: row for row in findings.rows if row.subject == "ours"}
    for work in ("top 10, 1 % pass a filter", "threshold that 3 rows reach"):
        assert named[work].recall is not None
        assert named[work].limit == "unix socket round trip"


def test_both_ways_to_build_an_index_carry_their_recall(find: Find) -> None:
    builds = [row for row in find("search").rows if row.work == "build an HNSW index"]
    assert len(builds) == 2
    assert all(row.recall is not None and row.recall > 0.9 for row in builds)


def test_a_new_process_makes_its_first_vector_without_torch(find: Find) -> None:
    verdicts = find("startup").verdicts
    assert [verdict.unit for verdict in verdicts] == ["s", "MB", ""]
    assert verdicts[2].passed


def test_memory_is_watched_from_call_to_call(find: Find) -> None:
    [line] = find("memory").series
    assert [calls for calls, _ in line.points] == list(range(2, 41, 2))
    assert all(megabytes > 50 for _, megabytes in line.points)


def test_concurrent_callers_are_up_to_256(find: Find) -> None:
    throughput, latency = find("concurrency").series[:2]
    assert throughput.points[-1][0] == latency.points[-1][0] == 256


def test_single_calls_beside_bulk_work_are_of_instructions_and_of_images(
    bench: Bench, find: Find
) -> None:
    subjects = defaultdict[tuple[str, str | None], list[str]](list)
    for row in find("concurrency").rows:
        if "beside bulk work: p50" in row.work:
            subjects[row.work, row.model].append(row.subject)
            assert row.figure.median > 0
            assert (row.whose, row.unit) == ("ours", "ms")
            assert row.quality is not None
    texts, images = (
        [f"ours {each.manifest.precision}" for each in bench.artifacts(kind)]
        for kind in ("text", "image")
    )
    assert subjects == {
        ("1 caller beside bulk work: p50 of a call", "all-MiniLM-L6-v2"): texts,
        (f"{ONE_IMAGE} beside bulk work: p50 of a call", "clip-vit-base-patch32"): images,
    }


def test_fp32_is_the_reference_of_the_others_and_held_against_pytorch(find: Find) -> None:
    findings = find("quality")
    assert figures(findings.rows, "ours fp32") == pytest.approx([1] * 5, abs=1e-5)
    judged = [each.work for each in findings.verdicts if each.subject == "ours fp32"]
    assert len(judged) == 2
    assert all(work.startswith("cosine to PyTorch") for work in judged)


def test_quality_agrees_with_people_where_their_judgement_is_at_hand(
    bench: Bench, shared_data: Path
) -> None:
    real = replace(bench, inputs=load_inputs(bench.size, data=shared_data))
    works = [verdict.work for verdict in quality._of_texts(real)]
    assert "Spearman, 8 pairs of STS benchmark dev" in works


def test_results_are_kept_and_make_a_page(bench: Bench, find: Find, tmp_path: Path) -> None:
    result = Result(
        suite="startup",
        size="full",
        finished="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        inputs=bench.inputs.origin,
        weights={"all-MiniLM-L6-v2": "trained"},
        machine=describe_machine(load=0.0),
        findings=find("startup"),
    )
    result.save(tmp_path)
    assert [each.to_json() for each in load_results(tmp_path)] == [result.to_json()]
    written = json.loads((tmp_path / "startup.json").read_text())
    assert {"passed", "bound"} <= written["findings"]["verdicts"][0].keys()
    assert "| **first vector in a new process** |" in markdown([result])


def test_an_inference_is_timed_with_and_without_embeddings(find: Find) -> None:
    findings = find("inference")
    assert [verdict.subject for verdict in findings.verdicts] == ["added at p50", "added at p90"]
    assert len({row.work for row in findings.rows}) == 3
    times = figures(findings.rows, "embeddings off") + figures(
        findings.rows, "ours, embeddings on"
    )
    assert all(milliseconds > 1 for milliseconds in times)
    ready = [row for row in findings.rows if row.subject == READY]
    assert [row.figure.median for row in ready] == [fmean(row.turns) for row in ready]
    assert {each for row in ready for each in row.turns} <= {0.0, 1.0}


def test_all_that_was_accepted_is_stored_though_the_database_was_gone(find: Find) -> None:
    [verdict] = find("recorder").verdicts
    assert verdict.figure.median == verdict.bound == 1
    assert verdict.passed


def test_a_backfill_is_held_against_its_encoder(find: Find) -> None:
    findings = find("backfill")
    subjects = [row.subject for row in findings.rows]
    assert subjects == ["ours, backfill", "encoder alone", "sgemm peak"]
    assert all(row.work == "16 instructions" for row in findings.rows)
    assert all(row.neighbours and row.limit == "sgemm peak" for row in findings.rows[:2])
    [verdict] = findings.verdicts
    assert (verdict.against, verdict.bound) == ("encoder alone", 0.9)
