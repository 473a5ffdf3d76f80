"""The report as a page of Markdown tables."""

from collections.abc import Iterator, Sequence

from benchmarks.report.conditions import conditions, method
from benchmarks.report.document import document_table
from benchmarks.report.grid import Grid
from benchmarks.report.page import describe_run
from benchmarks.report.peers import NOTE, peers
from benchmarks.report.tables import grids
from benchmarks.report.verdicts import reached, verdicts
from benchmarks.report.words import title_of_suite
from benchmarks.results import Result, quoted

ORIGIN = (
    "Written by `python -m benchmarks.report` from `benchmarks/results/`; "
    "[index.html](index.html) has the same as charts."
)


def markdown(results: Sequence[Result]) -> str:
    """The same as the HTML page, without the charts."""
    return "\n\n".join(_blocks(results)) + "\n"


def _blocks(results: Sequence[Result]) -> Iterator[str]:
    yield "# Benchmarks"
    yield ORIGIN
    yield method(results)
    if table := document_table(results):
        yield from _block(table, "##")
    told = quoted(results)
    if said := reached(told):
        yield "## Missed targets"
        yield said
        if (missed := verdicts(told, missed_only=True)).sections:
            yield missed.for_markdown()
    for result in results:
        yield f"## {title_of_suite(result.suite)}"
        yield describe_run(result)
        for grid in grids(result):
            yield from _block(grid, "###")
    yield from _block(conditions(results), "##")
    yield from _block(peers(results), "##")
    yield NOTE


def _block(grid: Grid, level: str) -> Iterator[str]:
    yield f"{level} {grid.title}"
    yield grid.for_markdown()
