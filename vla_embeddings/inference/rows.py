"""Vectors of inferences into the service's two tables (`search/schema.sql`).

Rows are found by the inference's analytics_id. A row without a customer becomes its customer's,
so that `forget` finds it; another customer's row is left alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vla_embeddings.inference.record import Attempt, Fate, Kind, Record
from vla_embeddings.search import batch_index_embeddings
from vla_embeddings.search.handles import Connection, Handle, connected


@dataclass(frozen=True, slots=True)
class Target:
    """Where the vectors of one kind go."""

    table: str
    id_column: str
    embedding_column: str


TARGETS: Mapping[Kind, Target] = {
    "instruction": Target("instruction_analytics", "id", "instruction_embedding"),
    "image": Target("context_metadata", "analytics_id", "image_embedding"),
}


async def write(
    db: Handle, kind: Kind, records: Sequence[Record], *, fingerprint: str
) -> list[Attempt]:
    """Write vectors of one kind in one transaction; the attempts in the order of the records.

    Writing again changes nothing: an attempt whose commit was not confirmed may be repeated. Of
    several for one row, the last stays.

    Raises:
        As `batch_index_embeddings`; nothing is written then.
    """
    target = TARGETS[kind]
    async with connected(db, writing=True) as connection, connection.transaction():
        if kind == "image":
            await _add_rows(connection, records)
        owners = await _owners(connection, target, records)
        attempts = [Attempt(record, _fate(record, owners)) for record in records]
        await batch_index_embeddings(
            connection,
            target.table,
            target.id_column,
            target.embedding_column,
            [
                {"id": attempt.record.inference.analytics_id, "embedding": attempt.record.vector}
                for attempt in attempts
                if attempt.fate is Fate.STORED
            ],
            fingerprint=fingerprint,
        )
    return attempts


async def _add_rows(connection: Connection, records: Sequence[Record]) -> None:
    """Rows of `context_metadata` for the inferences that have none.

    `instruction_analytics` gets no rows here: its key is the platform's to give out.
    """
    inferences = [record.inference for record in records]
    await connection.execute(
        "INSERT INTO context_metadata (analytics_id, customer_id, robot_type) "
        "SELECT DISTINCT ON (given.id) given.id, given.customer_id, given.robot_type "
        "FROM unnest($1::bigint[], $2::text[], $3::text[]) AS given(id, customer_id, robot_type) "
        "WHERE NOT EXISTS (SELECT FROM context_metadata AS t WHERE t.analytics_id = given.id)",
        [inference.analytics_id for inference in inferences],
        [inference.customer_id for inference in inferences],
        [inference.robot_type for inference in inferences],
    )


async def _owners(
    connection: Connection, target: Target, records: Sequence[Record]
) -> dict[int, set[str | None]]:
    """The customers of the rows of each analytics_id; the rows stay locked."""
    ids = [record.inference.analytics_id for record in records]
    customers = [record.inference.customer_id for record in records]
    await connection.execute(
        f"UPDATE {target.table} AS t SET customer_id = given.customer_id "
        "FROM unnest($1::bigint[], $2::text[]) AS given(id, customer_id) "
        f"WHERE t.{target.id_column} = given.id AND t.customer_id IS NULL",
        ids,
        customers,
    )
    owners: dict[int, set[str | None]] = {}
    for row in await connection.fetch(
        f"SELECT {target.id_column} AS id, customer_id FROM {target.table} "
        f"WHERE {target.id_column} = ANY($1::bigint[]) FOR UPDATE",
        ids,
    ):
        owners.setdefault(row["id"], set()).add(row["customer_id"])
    return owners


def _fate(record: Record, owners: Mapping[int, set[str | None]]) -> Fate:
    inference = record.inference
    if inference.analytics_id not in owners:
        return Fate.NO_ROW
    ours = owners[inference.analytics_id] == {inference.customer_id}
    return Fate.STORED if ours else Fate.FOREIGN
