"""A database of its own for each test that writes, and one shared by those that only read."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from tests.search.partitioned import make_partitioned
from vla_embeddings.search import (
    Database,
    create_hnsw_index,
    create_schema,
    insert_embeddings,
)
from vla_embeddings.search.handles import Connection

TABLE = "instruction_analytics"
COLUMN = "instruction_embedding"

ADVISORY_LOCKS = (
    "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database "
    "WHERE locktype = 'advisory' AND datname = current_database()"
)

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


FILLED = unit_vectors(3000)
FILLED.flags.writeable = False
PARTITIONED = FILLED[:1200]


async def _fill(db: Database) -> None:
    await insert_embeddings(db, TABLE, COLUMN, rows_of(FILLED))
    await db.pool.execute(f"ANALYZE {TABLE}")


async def _index(db: Database) -> None:
    await create_hnsw_index(db, TABLE, COLUMN)


async def _partition(db: Database) -> None:
    await make_partitioned(db, PARTITIONED)


# What each kind of database starts as, and what it gets.
_KINDS: dict[str, tuple[str | None, Callable[[Database], Awaitable[None]]]] = {
    "empty": (None, create_schema),
    "filled": ("empty", _fill),
    "indexed": ("filled", _index),
    "partitioned": ("empty", _partition),
}


class Templates:
    """One database of each kind, made when first needed; to copy it costs less than to fill."""

    def __init__(self, connection: asyncpg.Connection, dsn: str) -> None:
        self._connection = connection
        self._dsn = dsn
        self._names: dict[str | None, str] = {None: "template1"}

    @asynccontextmanager
    async def copied(self, kind: str) -> AsyncIterator[str]:
        """The address of a new database of this kind."""
        name = await self._copy_of(await self._template(kind))
        yield self._address(name)
        await self._drop(name)

    async def drop_all(self) -> None:
        """Leave nothing on the server."""
        for name in list(self._names.values())[1:]:
            await self._drop(name)

    async def _template(self, kind: str | None) -> str:
        if kind is not None and kind not in self._names:
            base, complete = _KINDS[kind]
            name = await self._copy_of(await self._template(base))
            async with await Database.connect(self._address(name)) as db:
                await complete(db)
            self._names[kind] = name
        return self._names[kind]

    async def _copy_of(self, template: str) -> str:
        name = f"test_{uuid.uuid4().hex}"
        await self._connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    async def _drop(self, name: str) -> None:
        await self._connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _address(self, name: str) -> str:
        return urlsplit(self._dsn)._replace(path=f"/{name}").geturl()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def template(postgres_dsn: str) -> AsyncIterator[Templates]:
    """What databases are copied from."""
    connection = await asyncpg.connect(postgres_dsn)
    templates = Templates(connection, postgres_dsn)
    yield templates
    await templates.drop_all()
    await connection.close()


@pytest_asyncio.fixture(loop_scope="session")
async def dsn(request: pytest.FixtureRequest, template: Templates) -> AsyncIterator[str]:
    """The address of this test's own database."""
    [kind] = {"filled", "indexed", "partitioned"}.intersection(request.fixturenames) or {"empty"}
    async with template.copied(kind) as dsn:
        yield dsn


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    """A pool on this test's own database, empty unless it asks for another kind."""
    async with await Database.connect(dsn, max_size=4) as database:
        yield database


@pytest.fixture
def filled() -> Vectors:
    """The vectors of the 3,000 rows that `db` holds, the first with id 1."""
    return FILLED


@pytest.fixture
def indexed() -> Vectors:
    """As `filled`; they have an HNSW index for the cosine distance."""
    return FILLED


@pytest.fixture
def partitioned() -> Vectors:
    """The vectors of the 1,200 rows of `db`'s two tables, see `partitioned.py`; no index yet."""
    return PARTITIONED


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def library_dsn(template: Templates) -> AsyncIterator[str]:
    """The address of the shared database, which is read-only so that tests stay apart."""
    async with template.copied("indexed") as dsn:
        await make_read_only(dsn)
        yield dsn


@pytest.fixture
async def library(library_dsn: str) -> AsyncIterator[Database]:
    """A pool on the shared, read-only database of `FILLED` and its index."""
    async with await Database.connect(library_dsn, max_size=4) as database:
        yield database


async def settings_of(connection: Connection) -> list[asyncpg.Record]:
    """Every setting of the server as this session has it at this moment."""
    settings: list[asyncpg.Record] = await connection.fetch(
        "SELECT name, setting FROM pg_settings ORDER BY name"
    )
    return settings


async def make_read_only(dsn: str) -> None:
    """Refuse every write of later connections."""
    connection = await asyncpg.connect(dsn)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await connection.close()
