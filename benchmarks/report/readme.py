"""The README's section of figures, between two markers."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from benchmarks.report.conditions import CARRIED_OVER, machine_names
from benchmarks.report.contenders import limits, role_in
from benchmarks.report.document import OURS, calls
from benchmarks.report.grid import Grid
from benchmarks.report.verdicts import is_share, reached
from benchmarks.report.weights import untrained_models
from benchmarks.report.words import kept, number, quantity, share
from benchmarks.results import LONG, Findings, Result, Row, quoted
from vla_embeddings.errors import InvalidInput

BEGIN = "<!-- figures: written by `python -m benchmarks.report` -->"
END = "<!-- /figures -->"

CALLS = (
    *("one at a time", "p50", "p90", "fastest peer", "document"),
    *("cosine to fp32", "neighbours kept"),
)
BULK = ("in bulk", "ours", "fastest peer", "times as fast as", "share of the limit")

UNMEASURED = "`make bench` measures it on your machine, beside the libraries it competes with."


def with_figures(readme: str, results: Sequence[Result]) -> str:
    """The README with what stands between the markers replaced.

    Raises:
        InvalidInput: the markers are not there, once and in order.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise InvalidInput(
            f"Expected one {BEGIN} and after it one {END} in the README. Put them back where the "
            "figures belong."
        )
    return f"{before}{BEGIN}\n\n{figures(results)}\n\n{END}{after}"


def figures(results: Sequence[Result]) -> str:
    """A short table for each kind of work, and on what it was measured."""
    return "\n\n".join(_blocks(quoted(results)) if results else [UNMEASURED])


def _blocks(results: Sequence[Result]) -> Iterator[str]:
    if rows := _calls(results):
        yield Grid("", CALLS, {"": rows}).for_markdown()
    if rows := _bulk(results):
        yield Grid("", BULK, {"": rows}).for_markdown()
    yield _where(results)


def _calls(results: Sequence[Result]) -> list[list[str]]:
    return [
        [
            f"{call.model.name}, {call.precision}",
            call.p50,
            call.p90,
            _fastest(results, call.row),
            f"~{call.document:g} ms",
            call.cosine,
            kept(call.row),
        ]
        for call in calls(results)
    ]


def _bulk(results: Sequence[Result]) -> list[list[str]]:
    """Ours, with the peers that a verdict compares it to."""
    return [
        [
            f"{row.work}, {row.subject.removeprefix(OURS)}",
            quantity(row.figure.median, "/s"),
            _fastest([result], row),
            peers,
            share(row),
        ]
        for result in results
        if result.suite.removesuffix(LONG) == "throughput"
        for row in result.findings.rows
        if row.subject.startswith(OURS)
        if (peers := _times(result.findings, row.work, row.subject))
    ]


def _fastest(results: Sequence[Result], ours: Row) -> str:
    """The peer whose figure of the same work is the best, in the suite that has ours."""
    findings = next(each.findings for each in results if ours in each.findings.rows)
    machine = limits(findings)
    peers = [
        row
        for row in findings.rows
        if (row.work, row.unit) == (ours.work, ours.unit) and role_in(row, machine) == "peer"
    ]
    if not peers:
        return ""
    best = (max if ours.unit == "/s" else min)(peers, key=lambda row: row.figure.median)
    return f"{quantity(best.figure.median, best.unit)}, {best.subject}"


def _times(findings: Findings, work: str, subject: str) -> str:
    machine = limits(findings)
    return ", ".join(
        f"{verdict.against}: {number(verdict.figure.median, verdict.unit)}"
        for verdict in findings.verdicts
        if (verdict.work, verdict.subject) == (work, subject) and not is_share(verdict, machine)
    )


def _where(results: Sequence[Result]) -> str:
    last = max(datetime.fromisoformat(result.finished) for result in results)
    return (
        f"{machine_names(results)}; {last:%d %B %Y}.{_untrained(results)}{_missed(results)} All "
        "figures, search and cache among them, are in "
        "[docs/benchmarks](docs/benchmarks/README.md); `make bench` measures your machine."
    )


def _missed(results: Sequence[Result]) -> str:
    said = reached(results)
    return said and f" [{said.removesuffix('.')}](docs/benchmarks/README.md#missed-targets)."


def _untrained(results: Sequence[Result]) -> str:
    named = " and ".join(untrained_models(results))
    if not named:
        return ""
    return (
        f" Untrained weights for {named}, which is no faster or slower for it, but {CARRIED_OVER}."
    )
