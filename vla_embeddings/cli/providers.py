"""`vla-embeddings providers`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from vla_embeddings.cli.output import Json, print_json, stdout
from vla_embeddings.errors import ModelNotFound

if TYPE_CHECKING:
    from vla_embeddings.runtime import LoadedModel
    from vla_embeddings.service import EmbeddingService


class DeviceName(StrEnum):
    """What may be asked for."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


def providers(
    device: Annotated[
        DeviceName | None,
        typer.Option(help="Instead of the setting's.", show_default="EMBEDDING_DEVICE"),
    ] = None,
    json: Json = False,
) -> None:
    """Load the models as the service would, and show what runs how many of their operators.

    A few operators on the CPU beside a GPU compute shapes, and cost nothing; where products or
    attention would be there, the GPU is not used. Untrained models are shown too, models that were
    not exported are not.
    """
    from vla_embeddings.service import EmbeddingService

    service = EmbeddingService(device=device.value if device else None, allow_untrained=True)
    loaded = asyncio.run(_load_all(service))
    if json:
        print_json([{**asdict(each), "nodes": each.nodes} for each in loaded])
    else:
        stdout.print(_table(loaded))


async def _load_all(service: "EmbeddingService") -> "Sequence[LoadedModel]":
    import numpy as np

    pixels = np.zeros((224, 224, 3), np.uint8)
    missing: list[ModelNotFound] = []
    calls: list[tuple[Callable[[Any], Awaitable[object]], Any]] = [
        (service.get_instruction_embedding, "pick up the red block"),
        (service.get_image_embedding, pixels),
        (service.get_image_query_embedding, "a red block"),
    ]
    async with service:
        for embed, item in calls:
            try:
                await embed(item)
            except ModelNotFound as error:
                missing.append(error)
        if loaded := service.provider_report():
            return loaded
    raise missing[0]


def _table(loaded: "Sequence[LoadedModel]") -> Table:
    table = Table(title="What runs the models here", title_justify="left")
    table.add_column("model", overflow="fold")
    table.add_column("precision", no_wrap=True)
    table.add_column("provider", no_wrap=True)
    table.add_column("operators", justify="right")
    table.add_column("most of them", overflow="fold")
    for model in loaded:
        table.add_section()
        for provider, operators in model.operators.items():
            table.add_row(
                escape(model.model),
                model.precision,
                provider.removesuffix("ExecutionProvider"),
                str(model.nodes[provider]),
                ", ".join(f"{count} {name}" for name, count in list(operators.items())[:3]),
            )
    return table
