"""`python -m benchmarks`: run suites, print their tables, keep their results."""

import json as json_format
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from benchmarks import latency, quality, startup, throughput
from benchmarks.bench import Bench
from benchmarks.harness import Advance
from benchmarks.inputs import load_inputs
from benchmarks.machine import describe_machine
from benchmarks.peers.environment import make_environment
from benchmarks.report import describe, grids
from benchmarks.report.files import write_report
from benchmarks.results import RESULTS, Findings, Result, load_results
from benchmarks.size import FULL, QUICK, Size
from vla_embeddings.cli.output import progress_bars, stdout
from vla_embeddings.config import embedding_config
from vla_embeddings.demo.models import prepare_models
from vla_embeddings.models import ArtifactStore

app = typer.Typer(
    add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)


class Suite(StrEnum):
    """Names of the suites."""

    latency = "latency"
    throughput = "throughput"
    startup = "startup"
    quality = "quality"


SUITES: Mapping[Suite, Callable[[Bench], Findings]] = {
    Suite.latency: latency.run,
    Suite.throughput: throughput.run,
    Suite.startup: startup.run,
    Suite.quality: quality.run,
}


@app.command()
def main(
    suites: Annotated[
        list[Suite] | None,
        typer.Argument(metavar="SUITE", help="Which to run.", show_default="all"),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few turns: two minutes in all instead of ten.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write this run's results here, too.")
    ] = None,
) -> None:
    """Measure the library beside its peers, the machine's limits and its targets.

    * **latency**: one call at a time, the platform document's table
    * **throughput**: many inputs at once, and the share of the sgemm peak
    * **startup**: a new process, its seconds to the first vector, memory and imports
    * **quality**: what each precision keeps of fp32 (cosines, neighbours, STS benchmark)

    Contenders take turns on the same inputs (A B B A ...), with the same weights and as many
    threads as there are CPUs, never two at once. The first run installs the peers (fastembed,
    sentence-transformers, transformers, OpenVINO) into .artifacts/bench-peers; one that cannot
    run is named with the reason.

    Every exported precision in EMBEDDING_MODELS_DIR is measured. The figures go to
    benchmarks/results/SUITE.json and, with the other suites' last ones, to docs/benchmarks/ and
    the README; those of a quick run are only printed. A missed target is a finding, not a
    failure: the exit status is 0.
    """
    size = "quick" if quick else "full"
    with progress_bars() as progress:
        bench = _prepare(QUICK if quick else FULL, progress)
        results = [_run(suite, bench, size) for suite in suites or list(Suite)]
    for result in results:
        stdout.rule(result.suite)
        for grid in grids(result.findings):
            stdout.print(grid.for_terminal())
    stdout.print(describe(results[0].machine), highlight=False)
    if json:
        documents = {result.suite: result.to_json() for result in results}
        json.write_text(json_format.dumps(documents, indent=2) + "\n")
    if not quick:
        for result in results:
            result.save(RESULTS)
        write_report(load_results(RESULTS))


def _prepare(size: Size, progress: Progress) -> Bench:
    """Inputs, models and peers, made where they are missing."""
    task = progress.add_task("", total=None)

    def show(step: str) -> None:
        progress.update(task, description=step)

    def track(what: str, length: int) -> Advance:
        bar = progress.add_task(what, total=length)
        return lambda steps: progress.advance(bar, steps)

    show("inputs")
    inputs = load_inputs(size)
    prepare_models(ArtifactStore(embedding_config.models_dir), show)
    show("installing the peers")
    peers = make_environment()
    progress.remove_task(task)
    return Bench(size, inputs, embedding_config, peers, track)


def _run(suite: Suite, bench: Bench, size: str) -> Result:
    machine = describe_machine()
    began = time.perf_counter()
    findings = SUITES[suite](bench)
    return Result(
        suite=suite,
        size=size,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - began, 1),
        inputs=bench.inputs.origin,
        weights={
            artifact.manifest.model: artifact.manifest.weights
            for artifact in (bench.fp32("text"), bench.fp32("image"))
        },
        machine=machine,
        findings=findings,
    )


if __name__ == "__main__":
    app()
