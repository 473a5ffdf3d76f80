"""What a row's source column says -> its vector."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vla_embeddings.backfill.leases import Row
from vla_embeddings.backfill.report import FailedRow
from vla_embeddings.backfill.target import Target
from vla_embeddings.errors import InvalidInput
from vla_embeddings.search.vectors import checked
from vla_embeddings.service import EmbeddingService, Vector
from vla_embeddings.together import together

PROBE = "go"
"""What a text model is tried with."""

MAX_FILE_BYTES = 64 * 2**20
"""Largest image file that is read: a 20-megapixel image, uncompressed."""

Outcome = Vector | FailedRow
EmbedRows = Callable[[list[Row]], Awaitable[list[Outcome]]]
"""Rows to their vectors, or to why they cannot have one, in order."""


def embedding_of(service: EmbeddingService, target: Target, root: Path | None) -> EmbedRows:
    """How the sources of `target` are embedded, past the service's cache.

    Raises:
        InvalidInput: `root` is missing, no folder, or of no use.
    """

    async def embed_text(text: str) -> Vector:
        return await service.get_instruction_embedding(text, use_cache=False)

    async def embed_texts(rows: list[Row]) -> list[Outcome]:
        texts = [row.source for row in rows]
        try:
            batch = await service.batch_generate_embeddings(texts=texts, use_cache=False)
        except InvalidInput:  # of one of them; alone, each tells its own
            return await _embed_each(embed_text, rows)
        return list(batch["text_embeddings"])

    async def embed_content(content: bytes) -> Vector:
        return await service.get_image_embedding(content, use_cache=False)

    folder = check_root(target, root)
    if folder is None:
        return embed_texts if target.kind == "text" else partial(_embed_each, embed_content)

    async def embed_file(name: str) -> Vector:
        return await embed_content(await asyncio.to_thread(read_below, folder, name))

    return partial(_embed_each, embed_file)


def check_root(target: Target, root: Path | str | None) -> Path | None:
    """The folder that paths start from, without links; None where the sources are no paths.

    Raises:
        InvalidInput: `root` is missing, no folder, or of no use.
    """
    if target.kind == "text" or target.holds_bytes:
        if root is not None:
            raise InvalidInput(f"root is for images by path; {target.source.sql} holds none.")
        return None
    if root is None or not Path(root).is_dir():
        raise InvalidInput(f"root must be the folder that the images are below; got {root}.")
    return Path(root).resolve()


async def check_model(service: EmbeddingService, target: Target) -> None:
    """Make one vector, so that nothing is changed for a model that does not load or fit.

    Raises:
        DimensionMismatch: the column is for vectors of another length.
        Others: as `EmbeddingService.get_instruction_embedding`.
    """
    if target.kind == "text":
        vector = await service.get_instruction_embedding(PROBE, use_cache=False)
    else:
        grey = np.full((224, 224, 3), 128, np.uint8)
        vector = await service.get_image_embedding(grey, use_cache=False)
    checked(vector, target.embedding, what=f"The {target.kind} model")


def read_below(folder: Path, name: str) -> bytes:
    """The content of the file that `name` says, starting from `folder`.

    Args:
        folder: without links.
        name: a path from there, or an absolute one that lies below it.

    Raises:
        InvalidInput: it leads outside (by `..`, or by a link), or is no file of at most
            `MAX_FILE_BYTES` that can be read.
    """
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            raise InvalidInput(f"{name!r} leads outside of {folder}.")
        if not path.is_file():  # a pipe, for one, would keep its reader waiting
            raise InvalidInput(f"There is no file {name!r} below {folder}.")
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise InvalidInput(
                f"{name!r} has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read."
            )
        return path.read_bytes()
    except (OSError, RuntimeError) as error:  # the latter for a loop of links
        raise InvalidInput(f"{name!r} cannot be read: {error}") from error


async def _embed_each(embed: Callable[[Any], Awaitable[Vector]], rows: list[Row]) -> list[Outcome]:
    return await together(_outcome(embed, row) for row in rows)


async def _outcome(embed: Callable[[Any], Awaitable[Vector]], row: Row) -> Outcome:
    try:
        if row.source is None:
            raise InvalidInput("It is NULL.")
        return await embed(row.source)
    except InvalidInput as error:
        return FailedRow(row.id, str(error))
