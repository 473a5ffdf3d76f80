"""What a row's source column says -> its vector."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
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

BYTES_AT_ONCE = MAX_FILE_BYTES
"""Of images that a block of rows embeds together, before the last of them: with three blocks on
their way, files of 384 MiB are held at most."""

Outcome = Vector | FailedRow
EmbedRows = Callable[[list[Row]], Awaitable[list[Outcome]]]
"""Rows to their vectors, or to why they cannot have one, in order."""

Read = Callable[[Any], bytes]
"""What a row's source says -> an image's content; InvalidInput where there is none."""


def embedding_of(service: EmbeddingService, target: Target, root: Path | None) -> EmbedRows:
    """How the sources of `target` are embedded, past the service's cache.

    Raises:
        InvalidInput: `root` is missing, no folder, or of no use.
    """

    folder = check_root(target, root)
    if target.kind == "text":
        return partial(_embed_texts, service)
    if folder is None:
        return partial(_embed_images, service, _as_it_is)
    return partial(_embed_images, service, partial(read_below, folder))


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


async def _embed_texts(service: EmbeddingService, rows: list[Row]) -> list[Outcome]:
    texts = [row.source for row in rows]
    try:
        batch = await service.batch_generate_embeddings(texts=texts, use_cache=False)
    except InvalidInput:  # of one of them; alone, each tells its own
        return await together(_embed_text(service, row) for row in rows)
    return list(batch["text_embeddings"])


async def _embed_text(service: EmbeddingService, row: Row) -> Outcome:
    try:
        _require_source(row)
        return await service.get_instruction_embedding(row.source, use_cache=False)
    except InvalidInput as error:
        return FailedRow(row.id, str(error))


async def _embed_images(service: EmbeddingService, read: Read, rows: list[Row]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    while rest := rows[len(outcomes) :]:
        outcomes += await _embed_some(service, read, rest)
    return outcomes


async def _embed_some(service: EmbeddingService, read: Read, rows: list[Row]) -> list[Outcome]:
    """Embed the first of the rows; their images are let go before the next are read."""
    found = await asyncio.to_thread(_read_some, read, rows)
    contents = [row for row in found if isinstance(row, Row)]
    embedded = iter(await _embed_contents(service, contents))
    return [next(embedded) if isinstance(row, Row) else row for row in found]


def _read_some(read: Read, rows: list[Row]) -> list[Row | FailedRow]:
    """The first of the rows with the content of their images, at least one."""
    found: list[Row | FailedRow] = []
    held = 0
    for row in rows:
        try:
            _require_source(row)
            content = read(row.source)
        except InvalidInput as error:
            found.append(FailedRow(row.id, str(error)))
            continue
        found.append(replace(row, source=content))
        held += len(content)
        if held >= BYTES_AT_ONCE:
            break
    return found


async def _embed_contents(service: EmbeddingService, rows: list[Row]) -> list[Outcome]:
    """Embed rows whose source is an image's content; where one cannot be used, in halves."""
    images = [row.source for row in rows]
    try:
        batch = await service.batch_generate_embeddings(images=images, use_cache=False)
        return list(batch["image_embeddings"])
    except InvalidInput as error:
        if len(rows) == 1:
            return [FailedRow(rows[0].id, str(error).removeprefix("images[0]: "))]
    half = len(rows) // 2
    return [
        *await _embed_contents(service, rows[:half]),
        *await _embed_contents(service, rows[half:]),
    ]


def _require_source(row: Row) -> None:
    if row.source is None:
        raise InvalidInput("It is NULL.")


def _as_it_is(content: bytes) -> bytes:
    return content
