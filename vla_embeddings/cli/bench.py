"""`vla-embeddings bench`: how fast this machine is."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from vla_embeddings.cli.output import Json, print_json, progress_bars, stdout
from vla_embeddings.config import Device, embedding_config

if TYPE_CHECKING:
    from vla_embeddings.latency import Latency
    from vla_embeddings.models import Artifact

app = typer.Typer(help="Measure the exported models on this machine.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure the exported models on this machine."""


@app.command()
def latency(json: Json = False) -> None:
    """Time one instruction and one image, in every exported precision, beside the document.

    Instructions have 12 tokens; the image is a 640x480 JPEG, timed from its bytes. Nothing is
    cached. Measures the CPU, and the GPU where EMBEDDING_DEVICE chooses one.
    """
    from vla_embeddings.latency import installed, measure

    works: list[tuple[Artifact, Device]] = [
        (artifact, device)
        for device in _devices()
        for artifact in installed(embedding_config, device)
    ]
    rows = []
    with progress_bars() as progress:
        task = progress.add_task("", total=len(works))
        for artifact, device in works:
            name = f"{artifact.manifest.model} {artifact.manifest.precision} on {device}"
            progress.update(task, description=name)
            rows.append(asyncio.run(measure(artifact, device, embedding_config)))
            progress.advance(task)
    if json:
        print_json([asdict(row) for row in rows])
    else:
        stdout.print(_table(rows))


def _devices() -> list[Device]:
    from vla_embeddings.runtime import choose_providers

    chosen = choose_providers(embedding_config.device)
    devices: list[Device] = ["cpu"]
    return devices if chosen.device == "cpu" else [*devices, chosen.device]


def _table(rows: "Sequence[Latency]") -> Table:
    table = Table(title="One embedding on this machine", title_justify="left")
    table.add_column("model")
    table.add_column("on, in")
    for name in ("dim", "p50", "p90", "document"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        untrained = "" if row.weights == "trained" else "\n[yellow]UNTRAINED[/]"
        colour = "green" if row.p50_ms <= row.document_ms else "red"
        table.add_row(
            row.model + untrained,
            f"{row.device} {row.precision}",
            str(row.dimension),
            f"[{colour}]{row.p50_ms:.2f} ms[/]",
            f"{row.p90_ms:.2f} ms",
            f"{row.document_ms:g} ms",
        )
    return table
