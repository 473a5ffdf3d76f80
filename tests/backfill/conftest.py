"""A database for each test, with rows that wait for their vectors, and a real encoder."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit

import asyncpg
import numpy as np
import pytest
from numpy.typing import NDArray

from vla_embeddings import EmbeddingConfig, EmbeddingService
from vla_embeddings.backfill import BackfillProgress
from vla_embeddings.samples import make_instructions
from vla_embeddings.search import Database, create_schema

TABLE = "instruction_analytics"
COLUMN = "instruction_embedding"


class Names(TypedDict):
    """What `backfill` is always called with."""

    table: str
    source_column: str
    embedding_column: str


NAMES = Names(table=TABLE, source_column="instruction", embedding_column=COLUMN)

Fill = Callable[[int], Awaitable[list[str]]]


@pytest.fixture(scope="session")
def service(models_dir: Path) -> Iterator[EmbeddingService]:
    """The real models, without a cache."""
    made = EmbeddingService(config=EmbeddingConfig(models_dir=models_dir), allow_untrained=True)
    yield made
    made.cleanup()


@pytest.fixture
async def dsn(postgres_dsn: str) -> AsyncIterator[str]:
    """The address of this test's own database, with the service's tables."""
    name = f"backfill_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    address = urlsplit(postgres_dsn)._replace(path=f"/{name}").geturl()
    async with await Database.connect(address) as database:
        await create_schema(database)
    yield address
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    """A pool on this test's database."""
    async with await Database.connect(dsn, max_size=4) as database:
        yield database


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
