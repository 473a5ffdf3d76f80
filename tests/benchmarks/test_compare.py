"""`vla-embeddings bench compare`: a slower encoder is flagged, noise and drift are not."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.bench import Bench
from benchmarks.harness import Contender, interleave
from benchmarks.ours import Ours, serve
from benchmarks.results import Findings, Row, Unit, Verdict
from benchmarks.spread import exactly, quartiles
from tests.benchmarks.simulated import TURNS, judgements, result_of, row_of, save, simulated_run
from vla_embeddings.cli import bench as cli
from vla_embeddings.tracking import Change, Run, compare, read_run


@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_two_runs_of_the_same_code_are_not_flagged_even_where_the_machine_slowed(
    drift: float, tmp_path: Path
) -> None:
    old = save(simulated_run(1), tmp_path / "old")
    flagged = [
        judgement
        for seed in range(100, 130)
        for judgement in judgements(
            old, save(simulated_run(seed, drift=drift), tmp_path / str(seed))
        )
        if judgement != "same"
    ]
    assert len(flagged) <= 1  # of 60


def test_an_encoder_slower_by_a_third_is_flagged_and_so_is_a_faster_one(tmp_path: Path) -> None:
    old = save(simulated_run(1), tmp_path / "old")
    slower = save(simulated_run(2, ours=1.33, drift=-0.2), tmp_path / "slower")
    assert judgements(old, slower) == ["worse", "worse"]
    assert judgements(slower, old) == ["better", "better"]


@dataclass(frozen=True)
class Slowed:
    """Really embeds everything three times."""

    name: str
    plain: Ours

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        times = [self.plain.seconds(parts) for _ in range(3)]
        return [sum(of_part) for of_part in zip(*times, strict=True)]


def test_an_encoder_that_really_runs_three_times_is_flagged(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.harness.SETTLE_SECONDS", 0)
    texts = ["pick up the red block and put it into the blue bowl"] * 4
    turns = [[slice(number, number + 1) for number in range(4)]] * TURNS
    with serve(bench.fp32("text"), texts, bench) as plain:
        contenders: list[Contender] = [
            plain,
            Slowed("slowed", plain),
            replace(plain, name="peer 1.0"),
        ]
        # All in the same turns, so that whatever else the machine does hits both runs alike.
        ours, slowed, peer = interleave(contenders, turns, warm_up=slice(0, 1))
    for folder, encoder in (("plain", ours), ("slowed", slowed)):
        rows = [
            row_of("one instruction", subject, [1e3 * seconds for seconds in timings.medians])
            for subject, timings in (("ours fp32", encoder), (peer.name, peer))
        ]
        save(rows, tmp_path / folder)
    assert judgements(tmp_path / "plain", tmp_path / "slowed") == ["worse"]


def test_a_lost_recall_or_cosine_is_flagged_however_fast(tmp_path: Path) -> None:
    rows = simulated_run(1)
    worse = [replace(row, quality=0.98) if row.subject == "ours fp32" else row for row in rows]
    changes = compare(
        read_run(save(rows, tmp_path / "old")), read_run(save(worse, tmp_path / "new"))
    )
    flagged = [change.work for change in changes if change.judgement == "worse"]
    assert flagged == ["one instruction, quality", "one image, quality"]


def test_a_share_that_fell_to_nothing_is_flagged(tmp_path: Path) -> None:
    def of(share: float) -> Path:
        return save([Row("one inference", "ours", exactly(share), "")], tmp_path / str(share))

    [change] = compare(read_run(of(0.9)), read_run(of(0.0)))
    assert change.judgement == "worse"


@pytest.mark.parametrize(
    ("old", "new", "judgement"),
    [(1, 0, "same"), (30, 33, "same"), (50, 49, "same"), (45, 0, "worse"), (5, 40, "better")],
)
def test_a_share_of_50_requests_is_flagged_where_it_moved_beyond_chance(
    old: int, new: int, judgement: str, tmp_path: Path
) -> None:
    def of(side: str, ready: int) -> Path:
        tries = [1.0] * ready + [0.0] * (50 - ready)
        row = Row("one inference", "in time", exactly(ready / 50), "", role="ours", turns=tries)
        return save([row], tmp_path / side)

    [change] = compare(read_run(of("old", old)), read_run(of("new", new)))
    assert (change.old, change.new, change.judgement) == (old / 50, new / 50, judgement)


def test_faults_where_there_were_none_are_not_the_same_by_their_ratio(tmp_path: Path) -> None:
    def of(faults: float) -> Run:
        held = Verdict("builds that failed", "ours", None, exactly(faults), "", 0, at_most=True)
        replace(result_of([]), findings=Findings([], [held], [])).save(tmp_path / str(faults))
        return read_run(tmp_path / str(faults))

    changes = [change for new in (2, 0) for change in compare(of(0), of(new))]
    assert [(each.judgement, each.ratio) for each in changes] == [("worse", math.inf), ("same", 1)]


@pytest.mark.parametrize("at_most", [False, True])
def test_a_quality_that_is_no_number_any_more_is_worse_than_any(
    at_most: bool, tmp_path: Path
) -> None:
    """A cosine of broken vectors is NaN."""

    def of(name: str, value: float) -> Path:
        held = Verdict("found", "ours", None, exactly(value), "", 0.9, at_most=at_most)
        result = replace(result_of([]), findings=Findings([], [held], []))
        result.save(tmp_path / name)
        return tmp_path / name

    known, broken = of("known", 0.95), of("broken", math.nan)
    found = [
        change.judgement
        for old, new in ((known, broken), (broken, known), (broken, broken))
        for change in compare(read_run(old), read_run(new))
    ]
    assert found == ["worse", "better", "same"]


def test_a_time_of_few_turns_changed_where_it_is_several_times_as_long(tmp_path: Path) -> None:
    def of(name: str, unit: Unit, *turns: float) -> Path:
        row = Row("resident", "ours", quartiles(turns), unit, turns=list(turns))
        return save([row], tmp_path / name)

    few = of("a", "s", 1.0, 1.1, 1.0, 1.1), of("b", "s", 2.0, 2.1, 2.0, 2.1)
    assert judgements(*few) == ["same"]
    assert judgements(of("a", "s", 1.0), of("b", "s", 4.0)) == ["worse"]
    assert judgements(of("a", "s", 1.0, 1.1), of("b", "s", 0.25, 0.26)) == ["better"]
    enough = of("a", "s", 1, 1, 1, 1, 1.1), of("b", "s", 2, 2, 2, 2, 2.1)
    assert judgements(*enough) == ["worse"]
    assert judgements(of("a", "MB", 200), of("b", "MB", 220)) == ["worse"]


def test_more_a_second_is_better(tmp_path: Path) -> None:
    def rows(rate: float) -> list[Row]:
        turns = [rate * (1 + 0.001 * turn) for turn in range(TURNS)]
        return [Row("in bulk", "ours fp32", quartiles(turns), "/s", turns=turns)]

    old, new = save(rows(400), tmp_path / "old"), save(rows(600), tmp_path / "new")
    assert judgements(old, new) == ["better"]
    assert judgements(new, old) == ["worse"]


def test_the_command_lists_what_is_worse_and_its_exit_status_is_1(tmp_path: Path) -> None:
    old = save(simulated_run(1), tmp_path / "old")
    new = save(simulated_run(2, ours=2), tmp_path / "new")
    answer = CliRunner().invoke(cli.app, ["compare", str(old), str(new)])
    assert answer.exit_code == 1
    assert "one image" in answer.stdout
    assert "2 worse, 0 better" in answer.stdout
    again = CliRunner().invoke(cli.app, ["compare", str(old), str(old / "latency.json")])
    assert again.exit_code == 0
    assert "0 worse" in again.stdout


def test_the_commands_json_has_every_figure(tmp_path: Path) -> None:
    old = save(simulated_run(1), tmp_path / "old")
    answer = CliRunner().invoke(cli.app, ["compare", str(old), str(old), "--json"])
    changes = json.loads(answer.stdout)["changes"]
    assert {change["judgement"] for change in changes} == {"same"}
    assert {"suite", "work", "old", "new", "ratio", "machine", "noise"} <= changes[0].keys()
    assert changes[0]["ratio"] == 1


def test_a_change_names_its_suite(tmp_path: Path) -> None:
    run = read_run(save(simulated_run(1), tmp_path))
    changes: list[Change] = compare(run, run)
    assert {change.suite for change in changes} == {"latency"}
