"""Consent as a column of the platform's own table."""

import asyncio

from vla_embeddings.errors import DatabaseUnavailable
from vla_embeddings.inference.consent import CHECK_SECONDS
from vla_embeddings.search.catalog import resolve
from vla_embeddings.search.handles import Handle, connected

ANSWER_SECONDS = 0.9 * CHECK_SECONDS
"""A server that does not answer in this time is down; past `CHECK_SECONDS` nobody would listen."""


class ConsentTable:
    """A consent check that looks into a table.

    Agreed is who has a row, and true in it; with several rows, in all of them.

    Args:
        db: an asyncpg pool, `Database` or SQLAlchemy engine.
        table: `table` or `schema.table`.
        id_column: the customer's id, of any type that its text form can be cast to.
        consent_column: boolean.
    """

    def __init__(self, db: Handle, *, table: str, id_column: str, consent_column: str) -> None:
        self._db = db
        self._table = table
        self._id_column = id_column
        self._consent_column = consent_column

    async def __call__(self, customer_id: str) -> bool:
        """Whether the customer agreed.

        Raises:
            UnknownName: there is no such table or column.
            InvalidInput: the id does not fit the column's type.
            DatabaseUnavailable: the server cannot be reached, or does not answer in time.
        """
        looking = asyncio.ensure_future(self._look_up(customer_id))
        # Unlike a timeout around it, wait goes on before the cancelled query has let go of its
        # connection, which takes a second more where the server is halted.
        await asyncio.wait((looking,), timeout=ANSWER_SECONDS)
        if looking.done():
            return looking.result()
        looking.cancel()
        raise DatabaseUnavailable(f"{self._table} gave no answer within {ANSWER_SECONDS:g} s.")

    async def _look_up(self, customer_id: str) -> bool:
        async with connected(self._db) as connection:
            names = (self._id_column, self._consent_column)
            table = await resolve(connection, self._table, names)
            key, agreed = (table.column(name) for name in names)
            return (
                await connection.fetchval(
                    f"SELECT bool_and(t.{agreed.sql} IS TRUE) FROM {table.sql} AS t "
                    f"WHERE t.{key.sql} = $1::text::{key.base_type}",
                    customer_id,
                )
                is True
            )
