"""Embedding and searching in one call."""

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.search.conftest import COLUMN, TABLE, Vectors, unit_vectors
from vla_embeddings.errors import SearchError
from vla_embeddings.search import (
    Database,
    find_similar_images,
    find_similar_instructions,
    insert_embeddings,
)
from vla_embeddings.search.similar import Embedder

TEXTS: Vectors = unit_vectors(5)
IMAGES: Vectors = unit_vectors(5, dimension=512)


class Known:
    """Knows the vectors of "0" to "4", and of images that are their numbers."""

    def __init__(self, fingerprint: str = "known/fp32") -> None:
        self._fingerprint = fingerprint

    async def get_instruction_embedding(self, instruction: str) -> NDArray[np.float32]:
        return np.copy(TEXTS[int(instruction)])

    async def get_image_query_embedding(self, text: str) -> NDArray[np.float32]:
        return np.copy(IMAGES[int(text)])

    async def get_image_embedding(self, image: int) -> NDArray[np.float32]:
        return np.copy(IMAGES[image])

    async def fingerprint(self, kind: Literal["text", "image"]) -> str:
        return f"{self._fingerprint}/{kind}"


@pytest.fixture
async def known(db: Database) -> Embedder:
    """A service whose five texts and images are in the tables."""
    service = Known()
    await insert_embeddings(
        db, TABLE, COLUMN, [{"instruction": str(n), COLUMN: TEXTS[n]} for n in range(5)],
        fingerprint=await service.fingerprint("text"),
    )  # fmt: skip
    await insert_embeddings(
        db, "context_metadata", "image_embedding",
        [{"image_path": f"{n}.jpg", "image_embedding": IMAGES[n]} for n in range(5)],
        fingerprint=await service.fingerprint("image"),
    )  # fmt: skip
    return service


async def test_instructions_are_found_by_text(db: Database, known: Embedder) -> None:
    rows = await find_similar_instructions(db, known, "3", 1)

    assert rows[0]["instruction"] == "3"


async def test_images_are_found_by_image_and_by_text(db: Database, known: Embedder) -> None:
    for query in (3, "3"):
        rows = await find_similar_images(db, known, query, 1, filters={"image_path": {"ne": "x"}})
        assert rows[0]["image_path"] == "3.jpg"


async def test_a_text_finds_images_without_a_threshold(db: Database, known: Embedder) -> None:
    assert len(await find_similar_images(db, known, "3")) == 5
    assert len(await find_similar_images(db, known, 3)) < 5
    assert len(await find_similar_images(db, known, "3", threshold=0.7)) < 5


async def test_a_service_of_another_model_is_refused_unless_forced(
    db: Database, known: Embedder
) -> None:
    other = Known("other/int8")

    with pytest.raises(SearchError, match="known/fp32/text"):
        await find_similar_instructions(db, other, "1")
    with pytest.raises(SearchError, match="known/fp32/image"):
        await find_similar_images(db, other, "1")
    assert await find_similar_instructions(db, other, "1", force=True)
    assert await find_similar_images(db, other, "1", force=True)
