"""Whatever a suite measured of ours is seen where it becomes worse."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.results import Findings, Row, Verdict
from benchmarks.spread import Spread
from benchmarks.suites import SUITES
from tests.benchmarks.simulated import result_of
from vla_embeddings.tracking import Change, compare, read_run

# Each suite runs within the first test that asks for it.
pytestmark = pytest.mark.timeout(900)

Find = Callable[[str], Findings]

MEASURED = ("ms", "s", "/s", "MB")
QUALITIES = ("quality", "neighbours", "spearman", "recall")


def changes(old: Findings, new: Findings, folder: Path) -> Sequence[Change]:
    for name, findings in (("old", old), ("new", new)):
        replace(result_of([]), findings=findings).save(folder / name)
    return compare(read_run(folder / "old"), read_run(folder / "new"))


def steady(row: Row, factor: float = 1.0) -> Row:
    """As many turns, all of them alike; ours so many times as long."""
    median = row.figure.median
    if row.whose == "ours":
        median *= 1 / factor if row.unit == "/s" else factor
    return replace(row, figure=Spread(median, median, median), turns=[median] * len(row.turns))


def broken(verdict: Verdict) -> Verdict:
    worse = 1000.0 if verdict.at_most else 0.5 * verdict.figure.median
    return replace(verdict, figure=Spread(worse, worse, worse))


def worsened(row: Row) -> Row:
    halves = {name: getattr(row, name) for name in QUALITIES if getattr(row, name) is not None}
    row = replace(row, **{name: value / 2 for name, value in halves.items()})
    if row.unit != "":
        return row
    less = row.figure.median - 1  # than a share of nothing, too
    return replace(row, figure=Spread(less, less, less), turns=[0.0] * len(row.turns))


def of_many(row: Row) -> Row:
    """A share of the requests of a full run: of the few of a small one, chance explains all."""
    return replace(row, turns=[1.0] * 50) if row.unit == "" and row.turns else row


@pytest.mark.parametrize("name", SUITES)
def test_all_that_takes_ten_times_as_long_is_flagged(
    name: str, find: Find, tmp_path: Path
) -> None:
    findings = find(name)
    old = replace(findings, rows=[steady(row) for row in findings.rows])
    new = replace(findings, rows=[steady(row, 10.0) for row in findings.rows])

    seen = {
        (each.work, each.subject): each.judgement
        for each in changes(old, new, tmp_path)
        if each.unit in MEASURED
    }

    measured = {
        (row.work, row.subject)
        for row in findings.rows
        if row.whose == "ours"
        and row.unit in MEASURED
        and not row.derived
        and row.figure.median > 0
    }
    assert seen == dict.fromkeys(measured, "worse")


@pytest.mark.parametrize("name", SUITES)
def test_all_qualities_and_counts_that_break_are_flagged(
    name: str, find: Find, tmp_path: Path
) -> None:
    found = find(name)
    findings = replace(found, rows=list(map(of_many, found.rows)))
    judged = [each for each in findings.verdicts if each.unit == "" and each.against is None]
    new = replace(
        findings,
        rows=[worsened(row) for row in findings.rows],
        verdicts=[broken(each) for each in judged],
    )

    seen = [each for each in changes(findings, new, tmp_path) if each.unit == ""]

    assert {(each.work, each.subject) for each in judged} <= {
        (each.work, each.subject) for each in seen
    }
    assert {each.judgement for each in seen} <= {"worse"}


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_keeps_the_turns_of_all_that_it_times(name: str, find: Find) -> None:
    rows = [row for row in find(name).rows if row.whose == "ours"]
    assert all(row.turns for row in rows if row.unit in MEASURED and not row.derived)
