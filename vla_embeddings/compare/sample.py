"""Random rows of a table, found without reading all of it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.backfill.keys import Key
from vla_embeddings.backfill.leases import Row
from vla_embeddings.backfill.target import Target
from vla_embeddings.backfill.transaction import scan
from vla_embeddings.search.binding import Parameters
from vla_embeddings.search.catalog import Column
from vla_embeddings.search.engine import decoded
from vla_embeddings.search.filters import conditions
from vla_embeddings.search.handles import Connection

# How many times more pages the next attempt reads, where those before held too few rows.
GROWTH = 8

_PAGES = """
SELECT sum(pg_relation_size(part.oid)) / current_setting('block_size')::bigint
FROM (SELECT $1::oid AS oid UNION SELECT relid FROM pg_partition_tree($1::oid)) AS part
"""


async def random_keys(connection: Connection, target: Target, count: int) -> list[Key]:
    """The keys of `count` random rows of `target` that hold a vector; of all, if fewer do.

    At first as many random pages are read as rows are wanted, so that hardly two come from one
    page, where neighbours in time lie together; the rows are drawn from all that these pages
    hold. Where most of the table would be read, all of it is, and the draw is uniform.
    """
    pages = int(await connection.fetchval(_PAGES, target.table.oid))
    read = count
    while 2 * read < pages:
        part = f"TABLESAMPLE SYSTEM ({100 * read / pages:.9f})"
        if len(keys := await _keys(connection, target, count, part)) == count:
            return keys
        read *= GROWTH
    return await _keys(connection, target, count, "")


async def read_rows(
    connection: Connection, target: Target, keys: Sequence[Key]
) -> list[tuple[Row, NDArray[np.float32]]]:
    """The rows of these keys and their vectors; without those that have lost theirs meanwhile."""
    parameters, columns, vector = Parameters(), target.key, target.embedding
    given = ", ".join(
        parameters.bind_many(list(values), column)
        for values, column in zip(zip(*keys, strict=True), columns, strict=True)
    )
    records = await scan(
        connection,
        f"SELECT {_listed(columns)}, {target.source_sql}, {vector.send}(t.{vector.sql}) "
        f"FROM {target.table.sql} AS t WHERE t.{vector.sql} IS NOT NULL "
        f"AND ({_listed(columns)}) IN (SELECT * FROM unnest({given}))",
        parameters,
    )
    return [(Row(tuple(key), source), decoded(stored, vector)) for *key, source, stored in records]


async def _keys(connection: Connection, target: Target, count: int, part: str) -> list[Key]:
    parameters = Parameters()
    wanted = [
        f"t.{target.embedding.sql} IS NOT NULL",
        *conditions(target.filters, target.table, parameters),
    ]
    records = await scan(
        connection,
        f"SELECT {_listed(target.key)} FROM {target.table.sql} AS t {part} "
        f"WHERE {' AND '.join(wanted)} ORDER BY random() LIMIT {count}",
        parameters,
    )
    return [tuple(record) for record in records]


def _listed(columns: tuple[Column, ...]) -> str:
    return ", ".join(f"t.{column.sql}" for column in columns)
