"""`vla-embeddings bench`: how fast this machine is."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from vla_embeddings.cli.output import Json, print_json, progress_bars, stdout
from vla_embeddings.config import embedding_config

if TYPE_CHECKING:
    from vla_embeddings.latency import Latency, Unmeasured
    from vla_embeddings.tracking import Alone, Change

JUDGEMENTS: Mapping[str, str] = {
    "worse": "[bold red]worse[/]",
    "better": "[green]better[/]",
    "same": "same",
}

BUSY = 0.1
"""The share of the processors that others may take before it is said."""

app = typer.Typer(
    help="Measure the exported models on this machine, or compare two benchmark runs.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Measure the exported models on this machine, or compare two benchmark runs."""


@app.command()
def latency(json: Json = False) -> None:
    """Time one instruction and one image, in every exported precision, beside the document.

    Instructions have 12 tokens; the image is a 640x480 JPEG, timed from its bytes. Nothing is
    cached. Measures the CPU, and the GPU where the service would run the model on one. The exit
    status is 1 where something could not be measured, which is then told.
    """
    rows = asyncio.run(_measured())
    machine = _machine()
    if json:
        print_json([{**asdict(row), "machine": machine} for row in rows])
    else:
        stdout.print(_table(rows, machine))
        for row in rows:
            if (error := _error(row)) is not None:
                name = f"{row.model} {row.precision} on {row.device}"
                stdout.print(f"[red]not measured[/] {escape(name)}: {escape(error)}")
    if any(_error(row) is not None for row in rows):
        raise typer.Exit(1)


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(help="One file of results, or a folder of them.")],
    new: Annotated[Path, typer.Argument(help="Likewise, of the commit in question.")],
    every: Annotated[bool, typer.Option("--all", help="Show what did not change, too.")] = False,
    json: Json = False,
) -> None:
    """Tell what became slower or faster between two runs of `python -m benchmarks`.

    Both must be of the same machine. Peers and limits that both runs measured
    show how the machine itself moved, which is taken out of the ratios, and
    how far a figure moves by itself; what others took of the processors counts,
    too. The noise shown is the change from which on one is called so: that of
    the machine and the 99 % interval of the figure's own turns; of a figure with
    fewer than five turns a side, three times as long or as short. Qualities
    (cosines, recall) and counts are compared as they are.

    What only one side measured is listed: figures, and suites or sizes of them.
    The exit status is 1 where something is worse, or where the old side has a
    figure of ours that the new one lacks.

    Several files in a folder (python -m benchmarks --json FOLDER/1.json, 2.json,
    ...) are runs of the same code, of which the quiet ones are compared. Three
    a side, old and new alternately, show smaller changes than one.
    """
    from vla_embeddings.tracking import alone, compare, read_run

    before, after = read_run(old), read_run(new)
    changes, one_sided = compare(before, after), alone(before, after)
    if json:
        print_json(
            {
                "changes": [asdict(change) for change in changes],
                "alone": [asdict(each) for each in one_sided],
            }
        )
    else:
        shown = [change for change in changes if every or change.judgement != "same"]
        if shown:
            stdout.print(_changes_table(shown))
        counts = Counter(change.judgement for change in changes)
        stdout.print(
            f"{len(changes)} figures of {escape(after.commits)} against {escape(before.commits)}: "
            f"{counts['worse']} worse, {counts['better']} better, "
            f"{counts['same']} within the noise."
        )
        for each in one_sided:
            stdout.print(_said(each), highlight=False)
        if (others := max(before.others, after.others)) > BUSY:
            stdout.print(
                f"[yellow]Others took up to {100 * others:.0f} % of the processors, which counts "
                "as noise: a quiet machine, or several runs a side, show smaller changes.[/]"
            )
    worse = any(change.judgement == "worse" for change in changes)
    if worse or any(each.is_lost for each in one_sided):
        raise typer.Exit(1)


def _changes_table(changes: "Sequence[Change]") -> Table:
    table = Table(title="New against old", title_justify="left")
    table.add_column("work")
    for name in ("old", "new", "ratio", "noise", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for change in changes:
        table.add_row(
            escape(change.work) + f"\n[dim]{escape(f'{change.suite}: {change.subject}')}[/]",
            escape(f"{change.old:.4g} {change.unit}"),
            escape(f"{change.new:.4g} {change.unit}"),
            f"{change.ratio:.2f}x",
            f"±{100 * change.noise:.1f} %",
            JUDGEMENTS[change.judgement],
        )
    return table


def _said(each: "Alone") -> str:
    """What one side alone has; in red where that is a loss."""
    suite = f"{each.suite}, {each.size} size"
    figure = f"{suite}: {each.work}: {each.subject}" if each.work else f"{suite}: all of it"
    colour, lost = ("bold red", "lost") if each.is_lost else ("dim", f"{each.side} alone")
    return f"[{colour}]{lost}[/] {escape(figure)}"


async def _measured() -> "list[Latency | Unmeasured]":
    from vla_embeddings.latency import measure_all

    with progress_bars() as progress:
        task = progress.add_task("", total=None)
        return [
            row
            async for row in measure_all(
                embedding_config,
                lambda name: progress.update(task, description=name, advance=1),
            )
        ]


def _error(row: "Latency | Unmeasured") -> str | None:
    from vla_embeddings.latency import Latency

    return None if isinstance(row, Latency) else row.error


def _machine() -> dict[str, Any]:
    """Its CPU, how many of them are to use, and its GPU; None where it has none."""
    from vla_embeddings.runtime import available_cpus
    from vla_embeddings.runtime.cpu import find_cpu
    from vla_embeddings.runtime.gpu import find_gpu

    gpu = find_gpu()
    return {
        "cpu": find_cpu().name,
        "cpus": available_cpus(),
        "gpu": gpu.label if gpu else None,
    }


def _table(rows: "Sequence[Latency | Unmeasured]", machine: Mapping[str, Any]) -> Table:
    """The platform document's: the devices side by side, a line for each model and precision."""
    from vla_embeddings.latency import CPU_MS, GPU_MS

    gpu = machine["gpu"] or "no GPU"
    title = f"One embedding on {machine['cpu']}, CPUs: {machine['cpus']}, {gpu}"
    table = Table(title=escape(title), title_justify="left", show_lines=True)
    table.add_column("model", overflow="fold")
    table.add_column("dim", justify="right", no_wrap=True)
    for name in ("precision", "CPU", "GPU"):
        table.add_column(name, no_wrap=True)
    graphs: dict[tuple[str, str], dict[str, Latency | Unmeasured]] = {}
    for row in rows:
        column = "CPU" if row.device == "cpu" else "GPU"
        graphs.setdefault((row.model, row.precision), {})[column] = row
    for (model, precision), measured in graphs.items():
        row = next(iter(measured.values()))
        untrained = "" if row.weights == "trained" else "\n[yellow]UNTRAINED[/]"
        table.add_row(
            escape(model) + untrained,
            str(row.dimension),
            precision,
            _figures(measured.get("CPU"), CPU_MS[row.kind]),
            _figures(measured.get("GPU"), GPU_MS[row.kind]),
        )
    return table


def _figures(row: "Latency | Unmeasured | None", document: float) -> str:
    from vla_embeddings.latency import Latency

    beside = f"\n[dim]document ~{document:g} ms[/]"
    if not isinstance(row, Latency):
        return f"not measured{beside}"
    colour = "green" if row.p50_ms <= document else "red"
    return f"[{colour}]p50 {row.p50_ms:.2f} ms[/]\np90 {row.p90_ms:.2f} ms{beside}"
