"""`vla-embeddings bench compare`: a slower encoder is flagged, noise and drift are not."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.harness import Contender, interleave
from benchmarks.machine import describe_machine
from benchmarks.ours import Ours, serve
from benchmarks.results import Findings, Result, Row, Unit
from benchmarks.spread import quartiles
from vla_embeddings.cli import bench as cli
from vla_embeddings.config import EmbeddingConfig
from vla_embeddings.errors import InvalidInput
from vla_embeddings.models import MINILM, ArtifactStore
from vla_embeddings.tracking import Change, compare, read_run
from vla_embeddings.tracking.noise import LEAST, MOST_TURNS, UNKNOWN, costs_of, tolerance

PEERS = ("fastembed 0.9.1", "openvino 2026.4.1", "sentence-transformers 5.7.0", "sgemm peak")
TURNS = 10


def result_of(rows: list[Row], suite: str = "latency") -> Result:
    return Result(
        suite=suite,
        size="quick",
        finished="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        inputs="made",
        weights={},
        machine=describe_machine(),
        findings=Findings(rows, [], []),
    )


def save(rows: list[Row], folder: Path) -> Path:
    result_of(rows).save(folder)
    return folder


def row_of(work: str, subject: str, turns: Sequence[float]) -> Row:
    return Row(work, subject, quartiles(turns), "ms", quality=1.0, turns=list(turns))


def simulated_run(seed: int, *, ours: float = 1.0, drift: float = 0.0) -> list[Row]:
    """Two works of ours and four peers: turns with noise, on a machine with a mood of the day."""
    generator = random.Random(seed)
    mood = 1 + drift + generator.gauss(0, 0.05)
    rows = []
    for work, base in (("one instruction", 3.0), ("one image", 50.0)):
        for subject, factor in (("ours fp32", ours), *[(peer, 2.0) for peer in PEERS]):
            day = 1 + generator.gauss(0, 0.02)  # what a process has by itself, from run to run
            turns = [
                base * factor * mood * day * (1 + abs(generator.gauss(0, 0.04)))
                for _ in range(TURNS)
            ]
            rows.append(row_of(work, subject, turns))
    return rows


def judgements(old: Path, new: Path) -> list[str]:
    return [each.judgement for each in compare(read_run(old), read_run(new)) if each.unit]


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
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.harness.SETTLE_SECONDS", 0)
    artifact = ArtifactStore(models_dir).open(MINILM, "fp32")
    texts = ["pick up the red block and put it into the blue bowl"] * 4
    turns = [[slice(number, number + 1) for number in range(4)]] * TURNS
    with serve(artifact, texts, EmbeddingConfig(models_dir=models_dir)) as plain:
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


def threaded(seed: int, *, alone: bool, slower: float = 1.0) -> list[Row]:
    """A function on two threads, which takes twice as long, all through, beside other work."""
    generator = random.Random(seed)
    base = slower * (2.7 if alone else 5.2)
    turns = [base * (1 + abs(generator.gauss(0, 0.02))) for _ in range(5)]
    return [row_of("tokenize 256 instructions", "ours", turns)]


def several(folder: Path, *runs: tuple[list[Row], float]) -> Path:
    """Runs of the same code in one folder, with the share that others took of the processors."""
    folder.mkdir()
    for number, (rows, others) in enumerate(runs):
        result = replace(result_of(rows, "micro"), others=others)
        (folder / f"{number}.json").write_text(json.dumps({"micro": result.to_json()}))
    return folder


def test_a_run_beside_other_work_is_not_called_slower(tmp_path: Path) -> None:
    alone = several(tmp_path / "alone", (threaded(1, alone=True), 0.02))
    beside = several(tmp_path / "beside", (threaded(2, alone=False), 0.45))
    assert judgements(alone, beside) == judgements(beside, alone) == ["same"]


def test_of_several_runs_the_best_is_compared_and_a_slower_function_flagged(
    tmp_path: Path,
) -> None:
    def runs(name: str, slower: float = 1.0) -> Path:
        busy = (threaded(len(name), alone=False, slower=slower), 0.5)
        quiet = [(threaded(seed, alone=True, slower=slower), 0.0) for seed in (1, len(name))]
        return several(tmp_path / name, busy, *quiet)

    old, again, new = runs("old"), runs("again"), runs("slower", 1.3)
    assert judgements(old, again) == ["same"]
    assert judgements(old, new) == ["worse"]
    assert judgements(new, old) == ["better"]


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
        row = Row("one inference", "ours", quartiles([share]), "", turns=[share])
        return save([row], tmp_path / str(share))

    [change] = compare(read_run(of(0.9)), read_run(of(0.0)))
    assert change.judgement == "worse"


def test_a_time_needs_five_turns_a_side_and_memory_none(tmp_path: Path) -> None:
    def of(name: str, unit: Unit, *turns: float) -> Path:
        row = Row("resident", "ours", quartiles(turns), unit, turns=list(turns))
        return save([row], tmp_path / name)

    few = of("a", "s", 1.0, 1.1, 1.0, 1.1), of("b", "s", 2.0, 2.1, 2.0, 2.1)
    assert judgements(*few) == ["same"]
    assert [each.noise for each in compare(*map(read_run, few))] == [None]
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
    changes = json.loads(answer.stdout)
    assert {change["judgement"] for change in changes} == {"same"}
    assert {"suite", "work", "old", "new", "ratio", "machine", "noise"} <= changes[0].keys()
    assert changes[0]["ratio"] == 1


def test_what_the_benchmarks_json_option_wrote_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"latency": result_of(simulated_run(1)).to_json()}))
    assert set(read_run(file).results) == {"latency"}


def test_runs_of_different_machines_are_not_compared(tmp_path: Path) -> None:
    here = read_run(save(simulated_run(1), tmp_path))
    [result] = here.results["latency"]
    elsewhere = replace(result, machine=replace(result.machine, cpu="Another"))
    with pytest.raises(InvalidInput, match="two runs of one machine"):
        compare(here, replace(here, results={"latency": [elsewhere]}))


def test_runs_of_different_sizes_have_nothing_in_common(tmp_path: Path) -> None:
    quick = read_run(save(simulated_run(1), tmp_path))
    full = [replace(result, size="full") for result in quick.results["latency"]]
    with pytest.raises(InvalidInput, match="the same size"):
        compare(quick, replace(quick, results={"latency": full}))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"suite": "latency"}', "3", '{"a": 1}'])
def test_a_file_that_holds_no_results_is_called_so(content: str, tmp_path: Path) -> None:
    file = tmp_path / "cut.json"
    file.write_text(content)
    with pytest.raises(InvalidInput, match=r"cut\.json"):
        read_run(file)


def test_an_empty_folder_and_a_missing_file_are_called_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no results"):
        read_run(tmp_path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_run(tmp_path / "missing.json")


def test_few_references_tell_little_about_the_noise() -> None:
    assert tolerance([0.001], 10) == UNKNOWN
    assert tolerance([0.001, -0.001, 0.001, 0.0], 10) == LEAST
    assert tolerance([0.1, -0.1, 0.1, -0.1], 10) > 0.3


def test_the_more_figures_are_compared_the_further_one_of_them_must_move() -> None:
    moves = [0.02, -0.03, 0.01, -0.02, 0.03]
    assert tolerance(moves, 100) > 1.2 * tolerance(moves, 5)


def test_single_calls_are_taken_together_so_that_the_luckiest_is_no_figure() -> None:
    calls = [1.0] + [2.0] * 499
    assert costs_of(calls, more_is_better=False) == [pytest.approx(math.log(2))] * MOST_TURNS
    assert min(costs_of(calls[:5], more_is_better=False)) == 0


def test_a_change_names_its_suite(tmp_path: Path) -> None:
    run = read_run(save(simulated_run(1), tmp_path))
    changes: list[Change] = compare(run, run)
    assert {change.suite for change in changes} == {"latency"}
