"""The README's section of figures, between two markers."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from benchmarks.report.conditions import machine_names
from benchmarks.report.document import OURS, calls
from benchmarks.report.grid import Grid
from benchmarks.report.words import number, quantity
from benchmarks.results import Result, Verdict
from vla_embeddings.errors import InvalidInput

BEGIN = "<!-- figures: written by `python -m benchmarks.report` -->"
END = "<!-- /figures -->"

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
    return "\n\n".join(_blocks(results) if results else [UNMEASURED])


def _blocks(results: Sequence[Result]) -> Iterator[str]:
    if rows := _calls(results):
        columns = ("one at a time", "p50", "p90", "document", "cosine to fp32")
        yield Grid("", columns, {"": rows}).for_markdown()
    if rows := _bulk(results):
        yield Grid("", ("in bulk", "ours", "times as fast"), {"": rows}).for_markdown()
    yield _where(results)


def _calls(results: Sequence[Result]) -> list[list[str]]:
    return [
        [
            f"{call.model.name}, {call.precision}",
            call.p50,
            call.p90,
            f"~{call.document:g} ms",
            f"{call.row.quality:.4f}" if call.row.quality is not None else "",
        ]
        for call in calls(results)
    ]


def _bulk(results: Sequence[Result]) -> list[list[str]]:
    """Ours, with the peers that a verdict compares it to."""
    return [
        [
            f"{row.work}, {row.subject.removeprefix(OURS)}",
            quantity(row.figure.median, "/s"),
            peers,
        ]
        for result in results
        if result.suite == "throughput"
        for row in result.findings.rows
        if row.subject.startswith(OURS)
        if (peers := _times(result.findings.verdicts, row.work, row.subject))
    ]


def _times(verdicts: Sequence[Verdict], work: str, subject: str) -> str:
    return ", ".join(
        f"{number(verdict.figure.median, 'x')}x {verdict.against}"
        for verdict in verdicts
        if (verdict.work, verdict.subject) == (work, subject)
    )


def _where(results: Sequence[Result]) -> str:
    last = max(datetime.fromisoformat(result.finished) for result in results)
    return (
        f"{machine_names(results)}; {last:%d %B %Y}.{_untrained(results)} All figures, search and "
        "cache among them, are in [docs/benchmarks](docs/benchmarks/README.md); `make bench` "
        "measures your machine."
    )


def _untrained(results: Sequence[Result]) -> str:
    """Speed is the same, but what comes out means nothing."""
    models = {m for each in results for m, kind in each.weights.items() if kind == "untrained"}
    named = " and ".join(sorted(models))
    return f" Untrained weights for {named}, which is no faster or slower for it." if named else ""
