"""`python -m benchmarks`: run suites, print their tables, keep their results."""

import json as json_format
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.measuring import Wanted, measure
from benchmarks.report import describe, grids
from benchmarks.report.files import write_report
from benchmarks.results import RESULTS, Result, load_results
from benchmarks.size import FULL, LONG, QUICK
from benchmarks.suites import ENCODING, SUITES, summary
from vla_embeddings.cli.output import stderr
from vla_embeddings.errors import EmbeddingError

app = typer.Typer(
    add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)


WIDE = 160
"""Columns of the widest table."""

SUMMARIES = "\n".join(f"* **{name}**: {summary(suite)}" for name, suite in SUITES.items())
HELP = f"""Measure the library beside its peers, the machine's limits and its targets.

{SUMMARIES}

Contenders take turns on the same inputs, with the same weights and as many threads
as there are CPUs, never two at once; the library has its default settings. The first run exports
the models and installs the peers into .artifacts/bench-encoders and .artifacts/bench-stores; one
that cannot run is named with the reason. With `--device cuda` all models run on the GPU, ours in
fp32 and fp16; with `--device tensorrt` ours also on TensorRT, whose engines are built first.

The figures go to benchmarks/results/SUITE.json (a GPU's to SUITE-gpu.json, those of a long run to
SUITE-long.json) and, with the other suites' last ones, to docs/benchmarks/ and the README; those
of a quick run are only printed. `vla-embeddings bench compare` tells two runs apart. A missed
target is a finding, not a failure: the exit status is 0. A suite that cannot be measured is named
with the reason, the others are measured all the same, and it is 1.
"""


class DeviceName(StrEnum):
    """What the models may run on."""

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


def _known(names: list[str] | None) -> list[str] | None:
    for name in names or ():
        if name not in SUITES:
            raise typer.BadParameter(f"no suite {name!r}; there are {', '.join(SUITES)}.")
    return names


def _writable(file: Path | None) -> Path | None:
    """Found out before the minutes of a run, not after."""
    try:
        if file:
            file.open("a").close()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written: {error.strerror}.") from error
    return file


@app.command(help=HELP)
def main(
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUITE",
            help="Which to run.",
            show_default="all; on a GPU those that it makes a difference to",
            callback=_known,
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few turns: two minutes in all instead of ten.")
    ] = False,
    long: Annotated[
        bool,
        typer.Option(
            "--long",
            help="As the targets are worded: 20,000 instructions, 500 JPEGs, 100,000 calls. "
            "About an hour.",
        ),
    ] = False,
    device: Annotated[DeviceName, typer.Option(help="What the models run on.")] = DeviceName.CPU,
    peers_here: Annotated[
        bool,
        typer.Option(
            "--peers-here", help="Take peers from this Python as it is; install nothing."
        ),
    ] = False,
    models_here: Annotated[
        bool,
        typer.Option(
            "--models-here",
            help="Take exported models from EMBEDDING_MODELS_DIR as they are; export nothing.",
        ),
    ] = False,
    json: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write this run's results here, too.", callback=_writable
        ),
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="A Redis to measure on; it is written to.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="A PostgreSQL to measure on; it is written to.")
    ] = None,
) -> None:
    """Run suites, print their tables, keep their results; `HELP` is what users read."""
    if quick and long:
        raise typer.BadParameter("--quick and --long exclude each other.")
    size = QUICK if quick else LONG if long else FULL
    wanted = Wanted(
        suites or list(SUITES if device is DeviceName.CPU else ENCODING),
        size,
        device.value,
        peers_here=peers_here,
        models_here=models_here,
        redis_url=redis_url,
        database_url=database_url,
    )
    try:
        results = measure(wanted)
    except EmbeddingError as error:  # such as a GPU that is not there
        stderr.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    _print(results)
    if json:
        documents = {result.suite: result.to_json() for result in results}
        json.write_text(json_format.dumps(documents, indent=2) + "\n")
    if wanted.kept:
        _report()
    if not all(result.findings.rows for result in results):
        raise typer.Exit(1)


def _report() -> None:
    """With the other suites' last results, if those are of this machine."""
    try:
        write_report(load_results(RESULTS))
    except EmbeddingError as error:  # the figures are kept and printed all the same
        stderr.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error


def _print(results: Sequence[Result]) -> None:
    """The tables; a file gets them as wide as they are."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    for result in results:
        console.rule(result.suite)
        for grid in grids(result):
            console.print(grid.for_terminal())
    console.print(describe(results[0].machine), highlight=False)


if __name__ == "__main__":
    app()
