"""Which results can be compared, one or several a side."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.results import Row
from tests.benchmarks.simulated import (
    TURNS,
    judgements,
    result_of,
    row_of,
    save,
    several,
    simulated_run,
    threaded,
)
from vla_embeddings.errors import InvalidInput
from vla_embeddings.tracking import compare, read_run


def test_a_run_beside_other_work_is_not_called_slower(tmp_path: Path) -> None:
    alone = several(tmp_path / "alone", (threaded(1, alone=True), 0.02))
    beside = several(tmp_path / "beside", (threaded(2, alone=False), 0.45))
    assert judgements(alone, beside) == judgements(beside, alone) == ["same"]


def beside_neighbours(rows: list[Row]) -> list[Row]:
    """All but the luckiest turn took a third longer."""

    def slower(row: Row) -> Row:
        best = min(row.turns)
        return replace(row, turns=[best, *[1.33 * turn for turn in row.turns if turn > best]])

    return list(map(slower, rows))


def test_a_run_beside_neighbours_on_the_host_is_not_called_slower(tmp_path: Path) -> None:
    """This machine sees them in the other contenders alone, also for a work that has none."""
    alone = row_of("one graph", "ours fp32", [10.0 + 0.01 * turn for turn in range(TURNS)])
    old = save([*simulated_run(1), alone], tmp_path / "old")
    new = save(beside_neighbours([*simulated_run(2), alone]), tmp_path / "new")
    assert judgements(old, new) == judgements(new, old) == ["same"] * 3


def test_beside_neighbours_what_became_twice_as_slow_is_called_so(tmp_path: Path) -> None:
    old = save(simulated_run(1), tmp_path / "old")
    new = save(beside_neighbours(simulated_run(2, ours=2.0)), tmp_path / "new")
    assert judgements(old, new) == ["worse", "worse"]


def test_of_several_runs_the_quiet_ones_are_compared_and_a_slower_function_flagged(
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


def test_runs_of_two_sizes_in_one_folder_are_each_compared_with_their_own(
    tmp_path: Path,
) -> None:
    """In whatever order their files' names put them."""

    def folder(*sizes: str) -> Path:
        path = tmp_path / sizes[0]
        path.mkdir()
        for number, size in enumerate(sizes):
            rows = threaded(number, alone=size == "full")
            result = replace(result_of(rows, "micro"), size=size)
            (path / f"{number}.json").write_text(json.dumps(result.to_json()))
        return path

    assert judgements(folder("full", "quick"), folder("quick", "full")) == ["same", "same"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"suite": "latency"}', "3", '{"a": 1}'])
def test_a_file_that_holds_no_results_is_called_so(content: str, tmp_path: Path) -> None:
    file = tmp_path / "cut.json"
    file.write_text(content)
    with pytest.raises(InvalidInput, match=r"cut\.json"):
        read_run(file)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"latency": {"suite": "latency"}}', r"latency\.size: Field required"),
        ('{"suite": "latency"}', r"cut\.size: Field required"),
        ("[]", "the whole file: Input should be a valid dictionary"),
        ("null", "the whole file: Input should be a valid dictionary"),
    ],
)
def test_it_is_told_what_a_file_lacks_and_where(content: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "cut.json"
    file.write_text(content)
    with pytest.raises(InvalidInput, match=rf"{told}\. Measure again"):
        read_run(file)


def test_an_empty_folder_and_a_missing_file_are_called_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no results"):
        read_run(tmp_path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_run(tmp_path / "missing.json")
