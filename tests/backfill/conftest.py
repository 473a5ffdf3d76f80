"""A database for each test, with rows that wait for their vectors, and a real encoder."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypedDict

import asyncpg
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.backfill.recorded import vector_of
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


async def someone_waits(connection: asyncpg.Connection) -> None:
    """Return when a session waits for a lock on the table."""
    # Other sessions wait: there is no event of ours to wait for.
    while not await connection.fetchval(  # noqa: ASYNC110
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass", TABLE
    ):
        await asyncio.sleep(0.01)


async def count_writes(db: Database) -> None:
    """From now on, `writes` has a row for each vector that was written and committed."""
    await db.pool.execute(
        "CREATE TABLE writes (id bigint);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO writes VALUES (NEW.id); RETURN NEW; END';"
        f"CREATE TRIGGER note AFTER UPDATE OF {COLUMN} ON {TABLE} "
        "FOR EACH ROW EXECUTE FUNCTION note()"
    )


async def expect_all(db: Database, instructions: list[str]) -> None:
    """Each row has the vector that `RecordedService` makes of it, and was written once."""
    vectors = await stored(db)
    assert len(vectors) == len(instructions)
    for key, vector in vectors.items():
        np.testing.assert_array_equal(vector, vector_of(instructions[key - 1]))
    written = await db.pool.fetch("SELECT id FROM writes ORDER BY id")
    assert [row["id"] for row in written] == list(range(1, len(instructions) + 1))
