"""`python -m benchmarks.report`: the pages and the README's figures from results at hand."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.report.files import write_pages, write_report
from benchmarks.results import RESULTS, Result, load_results
from vla_embeddings.cli.output import stderr, stdout
from vla_embeddings.errors import EmbeddingError, InvalidInput

app = typer.Typer(
    add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)


@app.command()
def main(
    results: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Where the suites' JSON files are.",
            show_default="benchmarks/results",
        ),
    ] = RESULTS,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write the pages here and leave the README alone.",
            show_default="docs/benchmarks, and the README",
        ),
    ] = None,
) -> None:
    """Write the benchmark report from results that were measured before.

    * **index.html**: charts and tables on one page that needs no network
    * **README.md** beside it: the same as Markdown tables
    * the section "How fast" of the project's README

    `make bench` does this at its end. To look at results of your own without touching committed
    files, give both folders.
    """
    try:
        found = _found(results)
        written = write_report(found) if output is None else write_pages(found, output)
    except EmbeddingError as error:
        stderr.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    for path in written:
        stdout.print(path, highlight=False, soft_wrap=True)


def _found(folder: Path) -> list[Result]:
    if found := load_results(folder):
        return found
    raise InvalidInput(f"No results in {folder}. Measure first: make bench")


if __name__ == "__main__":
    app()
