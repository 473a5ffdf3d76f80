"""An embedded PostgreSQL with the service's tables, for suites that store vectors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vla_embeddings.local import LocalPostgres
from vla_embeddings.search import Database, create_schema


@asynccontextmanager
async def own_database() -> AsyncIterator[Database]:
    """A pool on a server that ends with the block; the user's own is never written to."""
    with LocalPostgres() as server:
        # No idle connection is kept up, so the pool complains of no server that is gone.
        async with await Database.connect(server.dsn, min_size=0) as db:
            await create_schema(db)
            yield db
