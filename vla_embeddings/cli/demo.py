"""`vla-embeddings demo`."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vla_embeddings.cli.output import Json, print_json, progress_bars, stdout


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
    from vla_embeddings.demo.report import tables
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

        def track(what: str, length: int) -> Callable[[int], None]:
            task = progress.add_task(what, total=length)
            return lambda steps: progress.advance(task, steps)

        result = asyncio.run(Job(texts, pictures, embedding_config, track).run())
    manifests = [artifact.manifest for artifact in artifacts]
    if json:
        print_json({"models": [asdict(manifest) for manifest in manifests], **asdict(result)})
        return
    for table in tables(manifests, result):
        stdout.print(table)
        stdout.print()
