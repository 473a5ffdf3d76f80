"""A table of instructions whose vectors are the service's own."""

from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.backfill.conftest import COLUMN, TABLE, add_rows
from vla_embeddings import EmbeddingService
from vla_embeddings.samples import make_instructions
from vla_embeddings.search import Database, batch_index_embeddings

Agree = Callable[[int], Awaitable[list[str]]]


@pytest.fixture
def agree(db: Database, service: EmbeddingService) -> Agree:
    """Adds rows whose vectors are right; returns their instructions."""

    async def agree(count: int) -> list[str]:
        instructions = make_instructions(count)
        await add_rows(db, instructions)
        vectors = await service.batch_generate_embeddings(texts=instructions)
        await store(db, vectors["text_embeddings"])
        return instructions

    return agree


async def store(db: Database, vectors: Sequence[object] | NDArray[np.floating]) -> None:
    """The vectors of the rows from 1 on, in a column that does not say whose they are."""
    items = ({"id": n, "embedding": vector} for n, vector in enumerate(vectors, 1))
    await batch_index_embeddings(db, TABLE, "id", COLUMN, items)
