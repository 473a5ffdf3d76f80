"""The report as one HTML page that needs nothing else: no network, no other file."""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from string import Template

from benchmarks.report.charts import charts, without_chart
from benchmarks.report.conditions import METHOD, conditions, machine_names
from benchmarks.report.document import document_table
from benchmarks.report.figure import shapes, show
from benchmarks.report.grid import Grid
from benchmarks.report.html_table import html_table
from benchmarks.report.markup import Markup, joined, tag
from benchmarks.report.tables import figures, not_measured, verdicts
from benchmarks.report.tiles import tiles
from benchmarks.report.words import capitalized, title_of_suite
from benchmarks.results import Result

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
        summary=_summary(results),
        contents=_contents([name for name, _ in parts]),
        sections=joined(*[_section(name, content) for name, content in parts]),
    )


def describe_run(result: Result) -> str:
    """Size and time of a suite's run, and how busy the machine was."""
    finished = datetime.fromisoformat(result.finished)
    return (
        f"{capitalized(result.size)} size, finished {finished:%d %B %Y, %H:%M} in "
        f"{result.seconds:.0f} s; load {result.machine.load:.1f} before the start."
    )


def _parts(results: Sequence[Result]) -> Iterator[tuple[str, Markup]]:
    """The sections' names and contents."""
    if table := document_table(results):
        yield "The document's table", joined(tiles(results), _card(table))
    for result in results:
        yield title_of_suite(result.suite), _suite(result)
    absences = [(result.suite, each) for result in results for each in result.findings.absences]
    if absences:
        yield "Not measured", _card(not_measured(absences))
    method = tag("p", {"class": "soft"}, METHOD)
    yield "How it was measured", joined(method, _card(conditions(results)))


def _suite(result: Result) -> Markup:
    findings, name = result.findings, result.suite
    shown = [
        show(figure, f"{_anchor(name)}-{number}")
        for number, figure in enumerate(charts(findings), start=1)
    ]
    rest = without_chart(findings)
    return joined(
        tag("p", {"class": "soft"}, describe_run(result)),
        tag("div", {"class": "cards"}, *shown) if shown else "",
        _card(verdicts(findings.verdicts), heading="Targets") if findings.verdicts else "",
        _further(figures(rest), fold=bool(shown)) if rest else "",
    )


def _further(grid: Grid, *, fold: bool) -> Markup:
    """What stands in no chart, folded where there are charts to read first."""
    kept = {} if fold else {"open": "open"}
    summary = tag("summary", {}, "Further figures")
    return tag("details", {"class": "card", **kept}, summary, html_table(grid))


def _card(grid: Grid, heading: str = "") -> Markup:
    title = tag("h3", {}, heading) if heading else ""
    return tag("div", {"class": "card"}, title, html_table(grid))


def _summary(results: Sequence[Result]) -> Markup:
    found = [verdict for result in results for verdict in result.findings.verdicts]
    missed = [verdict for verdict in found if not verdict.passed]
    reached = f" {len(found) - len(missed)} of {len(found)} targets reached." if found else ""
    return joined(
        tag("p", {}, f"Measured on {machine_names(results)}.{reached}"),
        _fold(f"{len(missed)} missed", verdicts(missed)) if missed else "",
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
