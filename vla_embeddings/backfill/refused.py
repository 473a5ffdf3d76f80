"""Rows that were given a vector and did not take it."""

from collections.abc import Sequence

from vla_embeddings.backfill.keys import Key
from vla_embeddings.backfill.leases import Row
from vla_embeddings.backfill.report import FailedRow
from vla_embeddings.backfill.target import Target
from vla_embeddings.backfill.transaction import scan
from vla_embeddings.search.binding import Parameters
from vla_embeddings.search.handles import Connection

REASON = "A trigger or policy of the table kept the vector out."


async def refused(connection: Connection, target: Target, keys: Sequence[Key]) -> list[FailedRow]:
    """Those of the rows with `keys` that have no vector."""
    parameters = Parameters()
    given = ", ".join(
        parameters.bind_many(list(values), column)
        for values, column in zip(zip(*keys, strict=True), target.key, strict=True)
    )
    key = ", ".join(f"t.{column.sql}" for column in target.key)
    records = await scan(
        connection,
        f"SELECT {key} FROM {target.table.sql} AS t WHERE t.{target.embedding.sql} IS NULL "
        f"AND ({key}) IN (SELECT * FROM unnest({given}))",
        parameters,
    )
    return [FailedRow(Row(tuple(record), source=None).id, REASON) for record in records]
