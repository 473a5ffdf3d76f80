"""The report as one HTML page that needs nothing else: no network, no other file."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from string import Template

from benchmarks.report.charts import comparisons, curves, without_chart
from benchmarks.report.conditions import conditions, machine_names, method
from benchmarks.report.document import document_table
from benchmarks.report.figure import Figure, shapes, show
from benchmarks.report.grid import Grid
from benchmarks.report.html_table import html_table
from benchmarks.report.markup import Markup, joined, tag
from benchmarks.report.peers import NOTE, peers
from benchmarks.report.tables import figures, not_measured
from benchmarks.report.tiles import tiles
from benchmarks.report.verdicts import reached, verdicts
from benchmarks.report.words import capitalized, title_of_suite
from benchmarks.results import Result, quoted

FOLDER = Path(__file__).parent


def page(results: Sequence[Result]) -> str:
    """All suites' results: the document's table first, then suite by suite."""
    script = (FOLDER / "script.js").read_text()
    parts = list(_parts(results))
    return Template((FOLDER / "page.html").read_text()).substitute(
        script_hash=_hash(script),
        style=(FOLDER / "style.css").read_text(),
        script=script,
        shapes=shapes(),
        summary=_summary(quoted(results)),
        contents=_contents([name for name, _ in parts]),
        sections=joined(*[_section(name, content) for name, content in parts]),
    )


def describe_run(result: Result) -> str:
    """Size and time of a suite's run, and how much of the machine it had to share."""
    finished = datetime.fromisoformat(result.finished)
    run = (
        f"{capitalized(result.size)} size, finished {finished:%d %B %Y, %H:%M} in "
        f"{result.seconds:.0f} s"
    )
    if result.others is None:
        return f"{run}."
    return f"{run}; other work took {100 * result.others:.1f} % of the CPUs."


def _parts(results: Sequence[Result]) -> Iterator[tuple[str, Markup]]:
    """The sections' names and contents."""
    if table := document_table(results):
        yield "The document's table", joined(tiles(results), _card(table))
    for result in results:
        yield title_of_suite(result.suite), _suite(result)
    absences = [(result.suite, each) for result in results for each in result.findings.absences]
    if absences:
        yield "Not measured", _card(not_measured(absences))
    yield (
        "How it was measured",
        joined(
            tag("p", {"class": "soft"}, method(results)),
            _card(conditions(results)),
            _card(peers(results), heading="How peers are set up", note=NOTE),
        ),
    )


def _suite(result: Result) -> Markup:
    findings = result.findings
    identities = (f"{_anchor(result.suite)}-{number}" for number in count(1))
    shown = [_figures(each, identities) for each in (comparisons(result), curves(findings))]
    rest = without_chart(findings)
    return joined(
        tag("p", {"class": "soft"}, describe_run(result)),
        *shown,
        _card(verdicts([result]), heading="Targets") if findings.verdicts else "",
        _further(figures(rest, result), fold=any(shown)) if rest else "",
    )


def _figures(found: Iterable[Figure], identities: Iterator[str]) -> Markup:
    """Of one kind, so that those side by side are alike in height."""
    cards = [show(figure, next(identities)) for figure in found]
    return tag("div", {"class": "cards"}, *cards) if cards else joined()


def _further(grid: Grid, *, fold: bool) -> Markup:
    """What stands in no chart, folded where there are charts to read first."""
    kept = {} if fold else {"open": "open"}
    summary = tag("summary", {}, "Further figures")
    return tag("details", {"class": "card", **kept}, summary, html_table(grid))


def _card(grid: Grid, heading: str = "", note: str = "") -> Markup:
    title = tag("h3", {}, heading) if heading else ""
    said = tag("p", {"class": "soft"}, note) if note else ""
    return tag("div", {"class": "card"}, title, said, html_table(grid))


def _summary(results: Sequence[Result]) -> Markup:
    missed = verdicts(results, missed_only=True)
    count = sum(map(len, missed.sections.values()))
    return joined(
        tag("p", {}, f"Measured on {machine_names(results)}. {reached(results)}".strip()),
        _fold(f"{count} missed", missed) if count else "",
    )


def _fold(name: str, grid: Grid) -> Markup:
    return tag("details", {}, tag("summary", {}, name), html_table(grid))


def _contents(names: Sequence[str]) -> Markup:
    links = [tag("li", {}, tag("a", {"href": f"#{_anchor(name)}"}, name)) for name in names]
    return tag("nav", {"aria-label": "Contents"}, tag("ul", {}, *links))


def _section(name: str, content: Markup) -> Markup:
    return tag("section", {"id": _anchor(name)}, tag("h2", {}, name), content)


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _hash(script: str) -> str:
    """What the page's policy lets run, and nothing else."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
