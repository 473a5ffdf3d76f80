"""A database for each test, behind a proxy that can break off, and one real service for all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.inference.outage import Proxy
from vla_embeddings.search import Database


@pytest.fixture
async def proxy(dsn: str, tmp_path: Path) -> AsyncIterator[Proxy]:
    """A way to this test's database that can be shut and opened."""
    proxy = Proxy(dsn, tmp_path)
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
