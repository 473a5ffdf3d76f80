"""Consent as a column of the platform's own table."""

from vla_embeddings.search.catalog import resolve
from vla_embeddings.search.handles import Handle, connected


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
            DatabaseUnavailable: the server cannot be reached.
        """
        async with connected(self._db) as connection:
            names = (self._id_column, self._consent_column)
            table = await resolve(connection, self._table, names)
            key, agreed = (table.column(name) for name in names)
            return (
                await connection.fetchval(
                    f"SELECT bool_and(t.{agreed.sql} IS TRUE) FROM {table.sql} AS t "
                    f"WHERE t.{key.sql} = $1::text::{key.type}",
                    customer_id,
                )
                is True
            )
