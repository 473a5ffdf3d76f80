"""A fresh database for each test, with the service's tables, and vectors to fill them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import asyncpg
import numpy as np
import pytest
from numpy.typing import NDArray

from vla_embeddings.search import Database, create_schema, insert_embeddings
from vla_embeddings.search.catalog import forget

TABLE = "instruction_analytics"
COLUMN = "instruction_embedding"

Vectors = NDArray[np.float32]


def unit_vectors(count: int, *, seed: int = 0, dimension: int = 384) -> Vectors:
    """Clustered unit vectors, as real embeddings are: each near one of fifty centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((50, dimension))
    vectors = centres[rng.integers(0, 50, count)] + 0.5 * rng.standard_normal((count, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def rows_of(vectors: Vectors) -> list[dict[str, object]]:
    """A row of `instruction_analytics` for each vector."""
    return [
        {
            "instruction": f"instruction {place}",
            "model_type": ("openvla", "octo")[place % 2],
            "customer_id": f"customer_{place % 100}",
            "robot_type": None if place % 3 else "franka_panda",
            COLUMN: vector,
        }
        for place, vector in enumerate(vectors)
    ]


async def _run(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def template(postgres_dsn: str) -> Iterator[str]:
    """The name of a database with the service's tables."""
    name = f"template_{uuid.uuid4().hex}"

    async def make() -> None:
        await _run(postgres_dsn, f"CREATE DATABASE {name}")
        async with await Database.connect(_named(postgres_dsn, name)) as db:
            await create_schema(db)

    asyncio.run(make())
    yield name
    asyncio.run(_run(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def dsn(postgres_dsn: str, template: str) -> AsyncIterator[str]:
    """The address of this test's own database."""
    name = f"test_{uuid.uuid4().hex}"
    forget()
    await _run(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _named(postgres_dsn, name)
    await _run(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    """A pool on this test's database."""
    async with await Database.connect(dsn, max_size=4) as database:
        yield database


@pytest.fixture
async def filled(db: Database) -> Vectors:
    """The vectors of 3,000 rows that `db` now holds, the first with id 1."""
    vectors = unit_vectors(3000)
    await insert_embeddings(db, TABLE, COLUMN, rows_of(vectors))
    await db.pool.execute(f"ANALYZE {TABLE}")
    return vectors


def _named(dsn: str, database: str) -> str:
    return urlsplit(dsn)._replace(path=f"/{database}").geturl()
