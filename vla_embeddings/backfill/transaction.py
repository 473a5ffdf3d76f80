"""The transaction that all of a backfill's work runs in, and reading in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from vla_embeddings.errors import InvalidInput
from vla_embeddings.search.binding import Parameters
from vla_embeddings.search.handles import Connection

# Seconds for one statement, whatever the pool allows: counting, or passing over the rows that are
# done, may read the whole table.
SCAN_SECONDS = 86_400.0

# For this transaction alone. A lease idles while its rows are embedded, which a server may forbid
# or allow for ever: after five minutes the worker's machine is gone, and its rows come free.
# Without sorting, the planner always walks along the key, even where its statistics are old and
# promise few rows; else each block would read the whole table.
_SETTINGS = """
SELECT set_config('statement_timeout', '0', true),
       set_config('idle_in_transaction_session_timeout', '5min', true),
       set_config('enable_sort', 'off', true)
"""


@asynccontextmanager
async def working(connection: Connection) -> AsyncIterator[None]:
    """A transaction in which long statements and short idling are allowed."""
    async with connection.transaction(isolation="read_committed"):  # what others do is seen
        await connection.execute(_SETTINGS)
        yield


async def scan(connection: Connection, sql: str, parameters: Parameters) -> list[asyncpg.Record]:
    """Run one statement, however long.

    Raises:
        InvalidInput: a value that its column cannot hold, or that Python cannot.
    """
    try:
        rows: list[asyncpg.Record] = await connection.fetch(
            sql, *parameters.values, timeout=SCAN_SECONDS
        )
    except asyncpg.DataError as error:
        raise parameters.explain(error) from error
    except (OverflowError, ValueError) as error:
        raise InvalidInput(
            "The primary key holds what Python cannot, such as a time before Christ or after the "
            f"year 9999 ({error}). Leave such rows out by filters."
        ) from error
    return rows
