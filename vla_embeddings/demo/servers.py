"""The servers of the demo: the configured ones, else embedded ones."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import asyncpg

from vla_embeddings.config import EmbeddingConfig
from vla_embeddings.local import LocalPostgres, LocalValkey
from vla_embeddings.search import Database

SCHEMA = "vla_embeddings_demo"


@contextmanager
def addresses(config: EmbeddingConfig) -> Iterator[tuple[str, str]]:
    """Addresses of PostgreSQL and Redis."""
    with ExitStack() as stack:
        if config.database_url is not None:
            database = config.database_url
        else:
            database = stack.enter_context(LocalPostgres()).dsn
        if "redis_url" in config.model_fields_set:
            redis = config.redis_url
        else:
            redis = stack.enter_context(LocalValkey()).url
        yield database, redis


@asynccontextmanager
async def own_schema(address: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool whose tables live in a schema of the demo's own, which is dropped at the end.

    A user's own database keeps its tables as they are.

    Raises:
        DatabaseUnavailable: the server cannot be reached.
    """
    async with await Database.connect(address) as plain:
        await plain.pool.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        await plain.pool.execute(f"CREATE SCHEMA {SCHEMA}")
        try:
            async with asyncpg.create_pool(
                address, min_size=1, server_settings={"search_path": f"{SCHEMA}, public"}
            ) as pool:
                yield pool
        finally:
            await plain.pool.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
