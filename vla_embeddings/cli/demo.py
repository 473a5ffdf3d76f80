"""`vla-embeddings demo`."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from vla_embeddings.cli.output import Json, print_json, progress_bars, stdout

_UNTRAINED = "[bold yellow]UNTRAINED[/]"


def demo(
    instructions: Annotated[
        Path | None,
        typer.Option(
            help="One instruction a line, or JSON lines with a field text (.jsonl[.gz])."
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="A folder of images.")] = None,
    instruction_count: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
    image_count: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: Json = False,
) -> None:
    """Run the whole path once: export, embed, cache, index and search, on real servers.

    Makes its own instructions and pictures unless told otherwise, and starts an embedded
    PostgreSQL with pgvector and an embedded Valkey unless EMBEDDING_DATABASE_URL and
    EMBEDDING_REDIS_URL name others. In a given database it works in a schema of its own, which it
    drops again.
    """
    from vla_embeddings.config import embedding_config
    from vla_embeddings.demo import inputs
    from vla_embeddings.demo.job import Job
    from vla_embeddings.demo.models import prepare_models
    from vla_embeddings.models import ArtifactStore

    texts = (
        inputs.read_instructions(instructions, instruction_count)
        if instructions
        else inputs.generated_instructions(instruction_count)
    )
    pictures = (
        inputs.read_pictures(images, image_count)
        if images
        else inputs.generated_pictures(image_count)
    )
    with progress_bars() as progress:
        exporting = progress.add_task("models", total=None)
        artifacts = prepare_models(
            ArtifactStore(embedding_config.models_dir),
            lambda step: progress.update(exporting, description=step),
        )
        progress.remove_task(exporting)

        def track(what: str, length: int) -> Any:
            task = progress.add_task(what, total=length)
            return lambda steps: progress.advance(task, steps)

        result = asyncio.run(Job(texts, pictures, embedding_config, track).run())
    manifests = [asdict(artifact.manifest) for artifact in artifacts]
    if json:
        print_json({"models": manifests, **asdict(result)})
        return
    for table in (
        _models(manifests),
        _loadings(asdict(result)["loadings"]),
        *_answers(asdict(result)["answers"], manifests),
        _timings(asdict(result)["timings"]),
        _cache(result.cache),
    ):
        stdout.print(table)
        stdout.print()


def _models(manifests: list[dict[str, Any]]) -> Table:
    table = _table(
        "Models, proven against PyTorch", "model", "weights", "precision", "dim", "max |Δ|"
    )
    for manifest in manifests:
        table.add_row(
            manifest["model"],
            "trained" if manifest["weights"] == "trained" else _UNTRAINED,
            manifest["precision"],
            str(manifest["dimension"]),
            f"{manifest['parity']['max_abs_delta']:.1e}",
        )
    return table


def _loadings(rows: list[dict[str, Any]]) -> Table:
    table = _table("Embedded and indexed", "what", "rows", "embed/s", "store/s", "HNSW build")
    for row in rows:
        table.add_row(
            row["what"],
            f"{row['rows']:,}",
            f"{row['rows'] / row['embed_seconds']:,.0f}",
            f"{row['rows'] / row['store_seconds']:,.0f}",
            f"{row['index_seconds']:.2f} s",
        )
    return table


def _answers(answers: list[dict[str, Any]], manifests: list[dict[str, Any]]) -> list[Table]:
    *texts, picture = answers
    found = _table("Instruction search", "query", "found", "similarity", "model_type")
    for answer in texts:
        found.add_section()
        title = f"[bold]{answer['question']}[/]\n[dim]{answer['search']}, {answer['milliseconds']:.1f} ms[/]"
        if not answer["rows"]:
            found.add_row(title, "[dim]nothing that near[/]", "", "")
        for row in answer["rows"]:
            found.add_row(title, row["instruction"], f"{row['similarity']:.3f}", row["model_type"])
            title = ""
    untrained = any(manifest["weights"] == "untrained" for manifest in manifests)
    seen = _table(
        f"Image search{f' ({_UNTRAINED} weights: the order means nothing)' if untrained else ''}",
        "query image",
        "found",
        "distance",
    )
    title = f"[bold]{picture['question']}[/]\n[dim]{picture['search']}, {picture['milliseconds']:.1f} ms[/]"
    for row in picture["rows"]:
        seen.add_row(title, row["image_path"], f"{row['distance']:.3f}")
        title = ""
    return [found, seen]


def _timings(rows: list[dict[str, Any]]) -> Table:
    table = _table("The same queries again", "vector from", "instruction", "image")
    for row in rows:
        table.add_row(
            row["origin"], f"{row['instruction_ms']:.2f} ms", f"{row['image_ms']:.2f} ms"
        )
    return table


def _cache(stats: dict[str, Any]) -> Table:
    table = _table("Cache", "embeddings", "memory", "hits", "misses", "hit rate")
    table.add_row(
        f"{stats['total_keys']:,}",
        str(stats["memory_used"]),
        str(stats["hits"]),
        str(stats["misses"]),
        f"{stats['hit_rate']:.0%}",
    )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in columns:
        numeric = name not in (
            "model",
            "weights",
            "what",
            "query",
            "query image",
            "found",
            "vector from",
            "model_type",
            "precision",
        )
        table.add_column(name, justify="right" if numeric else "left")
    return table
