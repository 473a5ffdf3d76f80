"""Every verdict as a row that says in words what its figure is."""

from collections.abc import Sequence, Set

from benchmarks.report.contenders import limits
from benchmarks.report.grid import Grid, sections
from benchmarks.report.weights import figure_of
from benchmarks.report.words import spread_range
from benchmarks.results import Result, Verdict

COLUMNS = ("target", "verdict", "figure", "to reach", "range")


def verdicts(results: Sequence[Result], *, missed_only: bool = False) -> Grid:
    """Those of all results, each figure beside its bound."""
    rows = [
        (verdict.work, _cells(verdict, result))
        for result in results
        for verdict in result.findings.verdicts
        if not (missed_only and verdict.passed)
    ]
    return Grid("Verdicts", COLUMNS, sections(rows), wide=True)


def reached(results: Sequence[Result]) -> str:
    """How many targets are, in a sentence; nothing where there are none."""
    found = [verdict for result in results for verdict in result.findings.verdicts]
    if not found:
        return ""
    passed = sum(verdict.passed for verdict in found)
    close = sum(verdict.within_noise for verdict in found)
    noise = f", {close} of the verdicts within the noise" if close else ""
    return f"{passed} of {len(found)} targets reached{noise}."


def is_share(verdict: Verdict, machine: Set[str]) -> bool:
    """Whether it tells how much of a limit of the machine is reached."""
    return verdict.unit == "x" and verdict.against in machine


def _cells(verdict: Verdict, result: Result) -> list[str]:
    machine = limits(result.findings)
    show = _percent if is_share(verdict, machine) else _plain
    outcome = "pass" if verdict.passed else "FAIL"
    if verdict.within_noise:
        outcome += " within the noise"
    figure, bound, spread = show(verdict, result)
    sign = "≤" if verdict.at_most else "≥"
    return [_meaning(verdict, machine), outcome, figure, f"{sign} {bound}", spread]


def _meaning(verdict: Verdict, machine: Set[str]) -> str:
    """Of what the figure is: a ratio's both sides, and which way it goes."""
    subject, against = verdict.subject, verdict.against
    if against is None:
        return subject
    if is_share(verdict, machine):
        return f"{subject}, share of {against}"
    if verdict.unit != "x":
        return f"{subject} minus {against}"
    return f"{subject}, {'of the time of' if verdict.at_most else 'times as fast as'} {against}"


def _plain(verdict: Verdict, result: Result) -> tuple[str, str, str]:
    """Figure, bound and range, in the verdict's unit."""
    bound = f"{verdict.bound:.5g} {verdict.unit}".strip()
    return figure_of(verdict, result), bound, spread_range(verdict.figure, verdict.unit)


def _percent(verdict: Verdict, _: Result) -> tuple[str, str, str]:
    """Likewise, of one hundred."""
    figure = verdict.figure
    return (
        f"{100 * figure.median:.0f} %",
        f"{100 * verdict.bound:.0f} %",
        f"{100 * figure.low:.0f}–{100 * figure.high:.0f}",
    )
