"""A database for each test, behind a proxy that can break off, and one real service for all."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.outage import Proxy
from vla_embeddings.search import Database


@pytest.fixture
async def fragile(proxy: Proxy) -> AsyncIterator[Database]:
    """A pool that goes through `proxy`."""
    database = await Database.connect(proxy.dsn, max_size=4)
    yield database
    async with asyncio.timeout(10):
        await proxy.open()
        await database.close()
