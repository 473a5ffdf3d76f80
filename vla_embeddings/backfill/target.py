"""Which rows are to get vectors: a table, its key, the columns to read and to write."""

from dataclasses import dataclass, replace
from typing import Literal

from vla_embeddings.errors import InvalidInput
from vla_embeddings.search.binding import Parameters
from vla_embeddings.search.catalog import Column, Table, forget, resolve
from vla_embeddings.search.filters import Filters, conditions
from vla_embeddings.search.handles import Connection

Kind = Literal["text", "image"]

_BYTES = "pg_catalog.bytea"


@dataclass(frozen=True)
class Target:
    """The rows of `table` whose `embedding` is NULL, among those that pass `filters`."""

    kind: Kind
    table: Table
    key: tuple[Column, ...]
    source: Column
    embedding: Column
    filters: Filters | None

    @property
    def holds_bytes(self) -> bool:
        """Whether the source is content, as bytes; else it is read as text."""
        return self.source.type == _BYTES

    @property
    def source_sql(self) -> str:
        """The source of row `t`, as `Row.source` has it."""
        return f"t.{self.source.sql}" + ("" if self.holds_bytes else "::text")

    def pending(self, parameters: Parameters) -> list[str]:
        """The SQL conditions of a row without a vector; values are added to `parameters`."""
        return [
            f"t.{self.embedding.sql} IS NULL",
            *conditions(self.filters, self.table, parameters),
        ]

    async def fresh(self, connection: Connection) -> "Target":
        """The same, with the embedding column as the catalog has it at this moment."""
        forget()
        table = await resolve(connection, self.table.sql)
        return replace(self, table=table, embedding=table.vector_column(self.embedding.name))


async def find_target(
    connection: Connection,
    table: str,
    source_column: str,
    embedding_column: str,
    *,
    kind: Kind,
    filters: Filters | None,
) -> Target:
    """Look everything up and check that it can be worked on.

    Raises:
        UnknownName: no such table or column.
        InvalidInput: a view, no primary key, a source that cannot be read as
            `kind`, an embedding column that holds no vectors, or filters that cannot be used.
    """
    found = await resolve(connection, table, (source_column, embedding_column))
    if found.kind not in ("r", "p"):
        raise InvalidInput(f"{found.sql} is a view or foreign table; name the table itself.")
    if not found.key:
        raise InvalidInput(
            f"{found.sql} has no primary key, by which a backfill goes through a table."
        )
    target = Target(
        kind=kind,
        table=found,
        key=tuple(map(found.scalar_column, found.key)),
        source=found.scalar_column(source_column),
        embedding=found.vector_column(embedding_column),
        filters=filters,
    )
    if kind == "text" and target.holds_bytes:
        raise InvalidInput(
            f"{found.sql}.{target.source.sql} is of type bytea, not text; for images, say so."
        )
    conditions(filters, found, Parameters())
    return target
