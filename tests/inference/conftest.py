"""A database for each test, behind a proxy that can break off, and one real service for all."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.inference.outage import Proxy
from vla_embeddings import EmbeddingConfig, EmbeddingService
from vla_embeddings.search import Database, create_schema


@pytest.fixture(scope="session")
def service(models_dir: Path) -> Iterator[EmbeddingService]:
    """Loaded models, without a cache."""
    service = EmbeddingService(config=EmbeddingConfig(models_dir=models_dir), allow_untrained=True)
    yield service
    service.cleanup()


@pytest.fixture
async def dsn(postgres_dsn: str) -> AsyncIterator[str]:
    """The address of this test's own database, with the service's tables."""
    name = f"inference_{uuid.uuid4().hex}"
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
async def proxy(dsn: str) -> AsyncIterator[Proxy]:
    """A way to this test's database that can be shut and opened."""
    proxy = Proxy(dsn)
    await proxy.open()
    yield proxy
    await proxy.shut()


@pytest.fixture
async def fragile(proxy: Proxy) -> AsyncIterator[Database]:
    """A pool that goes through `proxy`."""
    database = await Database.connect(proxy.dsn, max_size=4)
    yield database
    async with asyncio.timeout(10):
        await proxy.open()
        await database.close()
