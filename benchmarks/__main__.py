"""`python -m benchmarks`: run suites, print their tables, keep their results."""

import json as json_format
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from benchmarks.bench import Bench
from benchmarks.harness import Advance
from benchmarks.inputs import load_inputs
from benchmarks.machine import describe_machine
from benchmarks.models import prepare
from benchmarks.others import watch_others
from benchmarks.peers.environment import make_environment
from benchmarks.report import describe, grids
from benchmarks.report.files import write_report
from benchmarks.results import RESULTS, Absence, Findings, Result, load_results
from benchmarks.size import FULL, LONG, QUICK, Size
from benchmarks.suites import SUITES, summary
from vla_embeddings.cli.output import progress_bars, stdout
from vla_embeddings.config import embedding_config
from vla_embeddings.errors import EmbeddingError

app = typer.Typer(
    add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)


SUMMARIES = "\n".join(f"* **{name}**: {summary(suite)}" for name, suite in SUITES.items())
HELP = f"""Measure the library beside its peers, the machine's limits and its targets.

{SUMMARIES}

Contenders take turns on the same inputs (A B B A ...), with the same weights and as many threads
as there are CPUs, never two at once. The first run exports the models, in fp32 and int8, and
installs the peers into .artifacts/bench-encoders and .artifacts/bench-stores; one that cannot run
is named with the reason.

The figures go to benchmarks/results/SUITE.json and, with the other suites' last ones, to
docs/benchmarks/ and the README; those of a quick run are only printed. `vla-embeddings bench
compare` tells two runs apart. A missed target is a finding, not a failure: the exit status is 0.
"""


def _known(names: list[str] | None) -> list[str] | None:
    for name in names or ():
        if name not in SUITES:
            raise typer.BadParameter(f"no suite {name!r}; there are {', '.join(SUITES)}.")
    return names


@app.command(help=HELP)
def main(
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUITE",
            help="Which to run.",
            show_default="all",
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
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write this run's results here, too.")
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
    with progress_bars() as progress:
        bench = _prepare(size, progress, redis_url=redis_url, database_url=database_url)
        results = []
        for name in suites or SUITES:
            results.append(_run(name, bench))
            if size is not QUICK:
                results[-1].save(RESULTS)
    for result in results:
        stdout.rule(result.suite)
        for grid in grids(result.findings):
            stdout.print(grid.for_terminal())
    stdout.print(describe(results[0].machine), highlight=False)
    if json:
        documents = {result.suite: result.to_json() for result in results}
        json.write_text(json_format.dumps(documents, indent=2) + "\n")
    if size is not QUICK:
        write_report(load_results(RESULTS))


def _prepare(
    size: Size, progress: Progress, *, redis_url: str | None, database_url: str | None
) -> Bench:
    """Inputs, models and peers, made where they are missing."""
    task = progress.add_task("", total=None)

    def show(step: str) -> None:
        progress.update(task, description=step)

    def track(what: str, length: int) -> Advance:
        bar = progress.add_task(what, total=length)
        return lambda steps: progress.advance(bar, steps)

    show("inputs")
    inputs = load_inputs(size)
    prepare(embedding_config, show)
    show("installing the peers")
    peers, stores = make_environment("encoders"), make_environment("stores")
    progress.remove_task(task)
    return Bench(
        size,
        inputs,
        embedding_config,
        peers,
        track,
        stores=stores,
        redis_url=redis_url,
        database_url=database_url,
    )


def _run(suite: str, bench: Bench) -> Result:
    machine = describe_machine()
    began, others = time.perf_counter(), watch_others()
    try:
        findings = SUITES[suite](bench)
    except EmbeddingError as error:  # such as a server that this machine cannot run
        findings = Findings([], [], [Absence(suite, str(error))])
    return Result(
        suite=suite,
        size=bench.size.name,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - began, 1),
        inputs=bench.inputs.origin,
        weights={
            artifact.manifest.model: artifact.manifest.weights
            for artifact in (bench.fp32("text"), bench.fp32("image"))
        },
        machine=machine,
        findings=findings,
        others=others(),
    )


if __name__ == "__main__":
    app()
