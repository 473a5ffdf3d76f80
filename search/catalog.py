"""Tables and columns as the database's own catalog has them; the only source of names in SQL.

A name that a caller passes is looked up as a bound value. What goes into a statement is the
name the catalog returned, quoted; so no name can change a statement's meaning.
"""

from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

from vla_embeddings.errors import InvalidInput, SearchError, UnknownName
from vla_embeddings.search.catalog_queries import (
    COLUMNS,
    EXTENSION,
    INDEXES,
    PARTITIONS,
    TABLE,
    UNCHANGED,
    VECTOR_TABLES,
)
from vla_embeddings.search.handles import Connection
from vla_embeddings.search.memory import Memory
from vla_embeddings.search.metric import Metric

IndexState = Literal["valid", "invalid", "building"]


@dataclass(frozen=True, eq=False)
class Column:
    """One column; `dimension` is None where it is no vector or declares no length.

    `base_type` is what a domain is over, and else the type itself. `send` is the function that
    gives a value's binary form, which few types lack.
    """

    name: str
    type: str
    base_type: str
    send: str | None
    is_array: bool
    vector_type: str | None
    dimension: int | None
    comment: str | None

    @property
    def sql(self) -> str:
        """The quoted name."""
        return quoted(self.name)


@dataclass(frozen=True)
class VectorIndex:
    """An HNSW or IVFFlat index, as `list_indexes` returns it.

    `column` is the expression where the index is on one that is more than a cast of the column.
    `half` says that a `vector` column is indexed in half precision; `options` holds what was
    given at its creation (`m`, `ef_construction`, `lists`); `size_bytes` is its size on disk.
    That of a partitioned table (`partitioned`) is made of one in each partition, and as large as
    they are together.
    """

    name: str
    schema: str
    table: str
    column: str
    method: Literal["hnsw", "ivfflat"]
    metric: str
    half: bool
    partial: bool
    partitioned: bool
    options: dict[str, int]
    state: IndexState
    size_bytes: int
    definition: str


@dataclass(frozen=True)
class Extension:
    """pgvector as this database has it."""

    schema: str
    version: tuple[int, ...]

    @property
    def has_iterative_scan(self) -> bool:
        """Whether an index scan can go on until the list is full (pgvector 0.8)."""
        return self.version >= (0, 8)

    def operator(self, metric: Metric) -> str:
        """The distance operator, found whatever the caller's search_path is."""
        return f"OPERATOR({quoted(self.schema)}.{metric.operator})"

    def type(self, name: str) -> str:
        """A type of the extension, likewise."""
        return f"{quoted(self.schema)}.{quoted(name)}"


@dataclass(frozen=True, eq=False)
class Table:
    """One table or view: its columns, primary key and vector indexes, at one moment."""

    oid: int
    schema: str
    name: str
    kind: str
    columns: dict[str, Column]
    key: tuple[str, ...]
    indexes: tuple[VectorIndex, ...]
    extension: Extension

    @property
    def sql(self) -> str:
        """The quoted, qualified name."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def column(self, name: str) -> Column:
        """The column called exactly `name`; UnknownName lists the table's columns."""
        try:
            return self.columns[name]
        except (KeyError, TypeError):
            raise UnknownName(
                f"{self.sql} has no column {name!r}; it has {', '.join(self.columns)}."
            ) from None

    def vector_column(self, name: str) -> Column:
        """The column `name`, which must hold vectors; else InvalidInput."""
        column = self.column(name)
        if column.vector_type not in ("vector", "halfvec"):
            vectors = [c.name for c in self.columns.values() if c.vector_type]
            raise InvalidInput(
                f"{self.sql}.{column.sql} is of type {column.type}, not vector or halfvec; "
                f"vector columns of this table: {', '.join(vectors) or 'none'}."
            )
        return column

    def serving(self, column: Column, metric: Metric) -> tuple[VectorIndex, ...]:
        """The valid indexes of `column` for this distance."""
        return tuple(
            index
            for index in self.indexes
            if index.column == column.name
            and index.metric == metric.name
            and index.state == "valid"
        )

    def scalar_column(self, name: str) -> Column:
        """The column `name`, which must hold plain values, neither vectors nor arrays."""
        column = self.column(name)
        if column.vector_type or column.is_array:
            raise InvalidInput(
                f"{self.sql}.{column.sql} is of type {column.type}; a column of single, "
                "plain values is needed here."
            )
        return column


_memories: WeakKeyDictionary[Any, Memory[Table]] = WeakKeyDictionary()


async def resolve(connection: Connection, name: str, columns: tuple[str, ...] = ()) -> Table:
    """The table `name` says, with at least `columns`; remembered for a minute.

    `name` is `table` or `schema.table`, spelled exactly as the catalog has it (quotes as in SQL
    are understood too). It is remembered together with the search_path; a temporary table or, by
    `"$user"`, a role that gives it another meaning is noticed as late as a change of the table.

    Raises:
        UnknownName: there is no such table or column; the message lists those there are.
        SearchError: the database lacks the pgvector extension.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise InvalidInput(f"A table's name must be a non-empty string; got {name!r}.")
    memory = _memory_of(connection)
    meaning = await memory.meaning(connection, name)
    table = memory.get(meaning)
    if table is not None and all(column in table.columns for column in columns):
        return table
    table = await _look_up(connection, name)
    # What this transaction has made or changed is gone when it is rolled back.
    if not connection.is_in_transaction() or await connection.fetchval(UNCHANGED):
        memory.add(meaning, table)
    for column in columns:
        table.column(column)
    return table


async def has_changed(connection: Connection, name: str) -> bool:
    """Whether the table is other than this connection remembers it; it is looked up anew."""
    memory = _memory_of(connection)
    known = memory.get(await memory.meaning(connection, name))
    memory.clear()
    return await resolve(connection, name) != known


def forget() -> None:
    """Look everything up anew; called when this process changes an index or a comment."""
    _memories.clear()


def _memory_of(connection: Connection) -> Memory[Table]:
    connection.is_closed()  # raises where a pool has it back
    # A pool hands out a proxy that cannot be weakly referenced; the connection behind it can.
    owner = getattr(connection, "_con", connection)
    memory = _memories.get(owner)
    if memory is None:
        memory = _memories[owner] = Memory()
    return memory


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


async def _look_up(connection: Connection, name: str) -> Table:
    extension = await connection.fetchrow(EXTENSION)
    if extension is None:
        raise SearchError(
            "This database lacks the pgvector extension. Run create_schema(db), or "
            "CREATE EXTENSION vector."
        )
    found = await connection.fetchrow(TABLE, name)
    if found is None:
        raise await _unknown_table(connection, name)
    columns = {row["name"]: Column(**row) for row in await connection.fetch(COLUMNS, found["oid"])}
    return Table(
        **{**found, "key": tuple(found["key"])},
        columns=columns,
        indexes=await vector_indexes(connection, found["oid"]),
        extension=Extension(
            extension["schema"], tuple(int(part) for part in extension["version"].split("."))
        ),
    )


async def partitions(connection: Connection, table: Table) -> list[Table]:
    """The tables that hold the rows of a partitioned one, foreign ones left out."""
    names = await connection.fetch(PARTITIONS, table.oid)
    return [await resolve(connection, row["name"]) for row in names]


async def vector_indexes(
    connection: Connection, table_oid: int | None = None
) -> tuple[VectorIndex, ...]:
    """The HNSW and IVFFlat indexes of one table, or of all, as they are at this moment."""
    rows = await connection.fetch(INDEXES, table_oid)
    return tuple(VectorIndex(**{**row, "options": _options(row["options"])}) for row in rows)


def _options(pairs: list[str] | None) -> dict[str, int]:
    return {name: int(value) for name, _, value in (pair.partition("=") for pair in pairs or ())}


async def _unknown_table(connection: Connection, name: str) -> UnknownName:
    names = [row["name"] for row in await connection.fetch(VECTOR_TABLES)]
    return UnknownName(
        f"There is no table {name!r}. Tables with a vector column: {', '.join(names) or 'none'}."
    )
