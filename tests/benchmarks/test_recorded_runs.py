"""Comparing on seven quick runs of one commit, measured beside other work and without.

They are in `runs/`: of a machine with two processors, one after the other, with more or less at
work beside them.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from vla_embeddings.tracking import Change, Run, compare, read_run
from vla_embeddings.tracking.recorded import Result, Row

FILES = sorted((Path(__file__).parent / "runs").glob("*.json"))
RUNS = [read_run(file) for file in FILES]


def together(runs: Iterable[Run]) -> Run:
    """Several runs of the same code, as from a folder."""
    results: dict[str, list[Result]] = {}
    for run in runs:
        for suite, each in run.results.items():
            results.setdefault(suite, []).extend(each)
    return Run("runs", results)


def slowed(run: Run, factor: float) -> Run:
    """All times of ours that much longer."""

    def row(each: Row) -> Row:
        slower = each.ours and each.unit != "MB"
        return replace(each, turns=[factor * turn for turn in each.turns]) if slower else each

    return Run(
        "slowed",
        {
            suite: [
                replace(result, findings=replace(result.findings, rows=list(map(row, rows))))
                for result in results
                for rows in [result.findings.rows]
            ]
            for suite, results in run.results.items()
        },
    )


def flagged(changes: Iterable[Change]) -> list[str]:
    return [f"{each.work}: {each.subject}" for each in changes if each.judgement != "same"]


def test_nothing_is_flagged_between_any_two_of_them() -> None:
    assert len(RUNS) == 7
    for old, new in permutations(RUNS, 2):
        assert flagged(compare(old, new)) == []


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_nothing_is_flagged_between_several_of_them(order: tuple[int, ...]) -> None:
    thirds = [together(RUNS[number::3]) for number in order]
    assert flagged(compare(thirds[0], thirds[1])) == []


def test_an_encoder_slower_by_15_percent_is_flagged_with_several_runs_a_side() -> None:
    old, new = together(RUNS[::2]), together(RUNS[1::2])
    found = flagged(compare(old, slowed(new, 1.15)))
    assert "one instruction, 12 tokens: ours fp32" in found
    assert "one 640x480 JPEG: ours fp32" in found


def test_all_but_the_least_steady_figure_is_flagged_by_20_percent() -> None:
    old, new = together(RUNS[::2]), together(RUNS[1::2])
    times = [each for each in compare(old, slowed(new, 1.2)) if each.unit not in ("", "MB")]
    missed = [each for each in times if each.judgement == "same"]
    assert len(times) == 16
    assert [f"{each.work}: {each.subject}" for each in missed] == [
        "one instruction, 12 tokens: ours int8"
    ]


def test_between_single_runs_an_encoder_that_takes_twice_as_long_is() -> None:
    for old, new in permutations(RUNS, 2):
        found = flagged(compare(old, slowed(new, 2.0)))
        assert "one 640x480 JPEG: ours int8" in found
