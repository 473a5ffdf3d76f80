"""Embed and search in one call, over the service's own tables."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.search.engine import Row
from vla_embeddings.search.filters import Filters
from vla_embeddings.search.handles import Handle
from vla_embeddings.search.similarity import cosine_similarity_search


class Embedder(Protocol):
    """What these functions need of an `EmbeddingService`."""

    async def get_instruction_embedding(self, instruction: str) -> NDArray[np.float32]:
        """A text's vector among instructions."""
        ...

    async def get_image_query_embedding(self, text: str) -> NDArray[np.float32]:
        """A text's vector among images."""
        ...

    async def get_image_embedding(self, image: Any) -> NDArray[np.float32]:
        """An image's vector."""
        ...

    async def fingerprint(self, kind: Literal["text", "image"]) -> str:
        """Which model and precision makes the vectors."""
        ...


async def find_similar_instructions(
    db: Handle,
    service: Embedder,
    instruction: str,
    top_k: int | None = None,
    threshold: float | None = None,
    filters: Filters | None = None,
    *,
    table: str = "instruction_analytics",
    embedding_column: str = "instruction_embedding",
    columns: Sequence[str] | None = None,
    exact: bool = False,
    force: bool = False,
) -> list[Row]:
    """The rows whose instruction is most like `instruction`.

    Args:
        service: an `EmbeddingService`.
        force: search even where the column says that another model filled it.

    Returns, Raises:
        As `cosine_similarity_search`; besides, what the service raises.
    """
    return await cosine_similarity_search(
        db,
        table,
        embedding_column,
        await service.get_instruction_embedding(instruction),
        top_k,
        threshold,
        filters,
        columns=columns,
        exact=exact,
        fingerprint=None if force else await service.fingerprint("text"),
    )


async def find_similar_images(
    db: Handle,
    service: Embedder,
    query: Any,
    top_k: int | None = None,
    threshold: float | None = None,
    filters: Filters | None = None,
    *,
    table: str = "context_metadata",
    embedding_column: str = "image_embedding",
    columns: Sequence[str] | None = None,
    exact: bool = False,
    force: bool = False,
) -> list[Row]:
    """The rows whose image is most like `query`: an image, or a text that describes one.

    Args:
        service: an `EmbeddingService`.
        query: a PIL image, a uint8 RGB array, an image file's bytes; or a string.
        threshold: as everywhere, but a text has none by default: CLIP puts a text and the image
            it describes at a similarity of 0.2 to 0.35, so 0.7 would find nothing.
        force: search even where the column says that another model filled it.

    Returns, Raises:
        As `cosine_similarity_search`; besides, what the service raises.
    """
    if isinstance(query, str):
        embedding = await service.get_image_query_embedding(query)
        threshold = -1.0 if threshold is None else threshold
    else:
        embedding = await service.get_image_embedding(query)
    return await cosine_similarity_search(
        db,
        table,
        embedding_column,
        embedding,
        top_k,
        threshold,
        filters,
        columns=columns,
        exact=exact,
        fingerprint=None if force else await service.fingerprint("image"),
    )
