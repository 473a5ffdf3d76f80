"""A database for each test, with rows that wait for their vectors, and a real encoder."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypedDict

import numpy as np
import pytest
from numpy.typing import NDArray

from vla_embeddings.backfill import BackfillProgress
from vla_embeddings.samples import make_instructions
from vla_embeddings.search import Database

TABLE = "instruction_analytics"
COLUMN = "instruction_embedding"


class Names(TypedDict):
    """What `backfill` is always called with."""

    table: str
    source_column: str
    embedding_column: str


NAMES = Names(table=TABLE, source_column="instruction", embedding_column=COLUMN)

Fill = Callable[[int], Awaitable[list[str]]]


@pytest.fixture
def fill(db: Database) -> Fill:
    """Adds rows of `instruction_analytics` without vectors; returns their instructions."""

    async def fill(count: int) -> list[str]:
        instructions = make_instructions(count)
        await add_rows(db, instructions)
        return instructions

    return fill


async def add_rows(db: Database, instructions: Sequence[str | None]) -> None:
    """One row for each, with ids from 1 on in a new table."""
    await db.pool.execute(
        f"INSERT INTO {TABLE} (instruction) "
        "SELECT text FROM unnest($1::text[]) WITH ORDINALITY AS given(text, n) ORDER BY n",
        instructions,
    )


def after_a_block(stop: asyncio.Event) -> Callable[[BackfillProgress], None]:
    """Sets `stop` as soon as rows are done."""

    def show(progress: BackfillProgress) -> None:
        if progress.done:
            stop.set()

    return show


async def stored(db: Database) -> dict[int, NDArray[np.float32]]:
    """The vectors there are, by the row's id."""
    rows = await db.pool.fetch(
        f"SELECT id, {COLUMN}::real[] AS vector FROM {TABLE} WHERE {COLUMN} IS NOT NULL"
    )
    return {row["id"]: np.array(row["vector"], np.float32) for row in rows}
