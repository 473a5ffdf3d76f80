"""Vectors of inferences into the service's two tables (`search/schema.sql`).

Rows are found by the inference's analytics_id. A row without a customer becomes its customer's,
so that `forget` finds it; another customer's row is left alone, and so is one that another
session holds.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vla_embeddings.errors import SearchError
from vla_embeddings.inference.record import Attempt, Fate, Kind, Record
from vla_embeddings.search import batch_index_embeddings
from vla_embeddings.search.catalog import Column, resolve
from vla_embeddings.search.handles import Connection, Handle, atomic, connected

LOCK_TIMEOUT = "1s"
"""How long a statement waits for a lock on a whole table, as a migration takes. Nobody waits for
rows."""


KEPT_OUT = "a trigger or policy of the table kept the vector out"


class VectorKeptOut(SearchError):
    """A row that is there did not take its vector, and the server raised no error."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the vectors of one kind go."""

    table: str
    id_column: str
    embedding_column: str


PLACES: Mapping[Kind, Place] = {
    "instruction": Place("instruction_analytics", "id", "instruction_embedding"),
    "image": Place("context_metadata", "analytics_id", "image_embedding"),
}


async def write(
    db: Handle, kind: Kind, records: Sequence[Record], *, fingerprint: str
) -> list[Attempt]:
    """Write vectors of one kind in one transaction; the attempts in the order of the records.

    Writing again changes nothing: an attempt whose commit was not confirmed may be repeated. Of
    several for one row, the last stays.

    Raises:
        VectorKeptOut: a row did not take its vector.
        Others: as `batch_index_embeddings`. Nothing is written after any error.
    """
    place = PLACES[kind]
    async with connected(db, writing=True) as connection, atomic(connection):
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        customer = await customer_column(connection, place)
        if kind == "image":
            await _add_rows(connection, customer, records)
        attempts, rows = await _attempts(connection, place, customer, records)
        changed = await batch_index_embeddings(
            connection,
            place.table,
            place.id_column,
            place.embedding_column,
            [
                {"id": attempt.record.inference.analytics_id, "embedding": attempt.record.vector}
                for attempt in attempts
                if attempt.fate is Fate.STORED
            ],
            fingerprint=fingerprint,
        )
        if changed < rows:
            raise VectorKeptOut(KEPT_OUT)
    return attempts


async def customer_column(connection: Connection, place: Place) -> Column:
    """The column that says whose a row is, of whatever type the platform gave it.

    A customer's id is cast to its base type: to a domain of limited length, a cast would cut it
    off, and make it another customer's perhaps.
    """
    table = await resolve(connection, place.table, ("customer_id",))
    return table.column("customer_id")


async def _add_rows(connection: Connection, customer: Column, records: Sequence[Record]) -> None:
    """Rows of `context_metadata` for the inferences that have none.

    `instruction_analytics` gets no rows here: its key is the platform's to give out.
    """
    inferences = [record.inference for record in records]
    await connection.execute(
        "INSERT INTO context_metadata (analytics_id, customer_id, robot_type) "
        "SELECT DISTINCT ON (given.id) given.id, "
        f"given.customer_id::{customer.base_type}, given.robot_type "
        "FROM unnest($1::bigint[], $2::text[], $3::text[]) AS given(id, customer_id, robot_type) "
        "WHERE NOT EXISTS (SELECT FROM context_metadata AS t WHERE t.analytics_id = given.id)",
        [inference.analytics_id for inference in inferences],
        [inference.customer_id for inference in inferences],
        [inference.robot_type for inference in inferences],
    )


async def _attempts(
    connection: Connection, place: Place, customer: Column, records: Sequence[Record]
) -> tuple[list[Attempt], int]:
    """What is to become of each record, and how many rows are to take a vector, all locked."""
    ids = [record.inference.analytics_id for record in records]
    customers = [record.inference.customer_id for record in records]
    held = await _held(connection, place, ids)
    named = f"given.customer_id::{customer.base_type}"
    await connection.execute(
        f"UPDATE {place.table} AS t SET customer_id = {named} "
        "FROM unnest($1::bigint[], $2::text[]) AS given(id, customer_id) "
        f"WHERE t.{place.id_column} = given.id AND t.customer_id IS NULL "
        "AND given.id <> ALL ($3::bigint[])",
        ids,
        customers,
        held,
    )
    found = await connection.fetch(
        f"SELECT count(t.{place.id_column}) AS rows, bool_and(t.customer_id = {named}) AS theirs "
        "FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS given(id, customer_id, place) "
        f"LEFT JOIN {place.table} AS t ON t.{place.id_column} = given.id "
        "GROUP BY given.place ORDER BY given.place",
        ids,
        customers,
    )
    attempts = [
        Attempt(record, Fate.BLOCKED, "another session holds its row")
        if record.inference.analytics_id in held
        else _attempt(record, row["rows"], theirs=row["theirs"])
        for record, row in zip(records, found, strict=True)
    ]
    rows = {
        attempt.record.inference.analytics_id: row["rows"]
        for attempt, row in zip(attempts, found, strict=True)
        if attempt.fate is Fate.STORED
    }
    return attempts, sum(rows.values())


async def _held(connection: Connection, place: Place, ids: Sequence[int]) -> list[int]:
    """The ids of which another session has a row; the rows of all others are locked for us."""
    rows = (
        f"SELECT {place.id_column} AS id FROM {place.table} "
        f"WHERE {place.id_column} = ANY($1::bigint[])"
    )
    there = Counter(row["id"] for row in await connection.fetch(rows, ids))
    # The lock that an UPDATE of other columns takes: rows that refer to these may come meanwhile.
    locking = f"{rows} FOR NO KEY UPDATE SKIP LOCKED"
    ours = Counter(row["id"] for row in await connection.fetch(locking, ids))
    return list(there - ours)


def _attempt(record: Record, rows: int, *, theirs: bool | None) -> Attempt:
    if rows == 0:
        return Attempt(record, Fate.NO_ROW)
    if theirs is None:  # the rows did not take the customer
        return Attempt(record, Fate.BLOCKED, KEPT_OUT)
    return Attempt(record, Fate.STORED if theirs else Fate.FOREIGN)
