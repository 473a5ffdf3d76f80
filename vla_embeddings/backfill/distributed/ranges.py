"""A table cut into ranges of its primary key, for workers to take one at a time."""

from itertools import pairwise

from vla_embeddings.backfill.keys import Key, KeyRange
from vla_embeddings.backfill.target import Target
from vla_embeddings.backfill.transaction import scan, working
from vla_embeddings.search.binding import Parameters
from vla_embeddings.search.handles import Connection


async def key_ranges(connection: Connection, target: Target, *, rows: int) -> list[KeyRange]:
    """Ranges of `rows` rows without a vector each, which together cover the whole table.

    The last also takes what comes in behind it meanwhile.
    """
    parameters = Parameters()
    condition = " AND ".join(target.pending(parameters))
    key = ", ".join(f"t.{column.sql}" for column in target.key)
    names = ", ".join(f"k{place}" for place in range(len(target.key)))
    async with working(connection):
        cuts = await scan(
            connection,
            f"SELECT {names} FROM (SELECT {key}, row_number() OVER (ORDER BY {key}) "
            f"FROM {target.table.sql} AS t WHERE {condition}) AS numbered({names}, place) "
            f"WHERE place % {rows} = 0 ORDER BY place",
            parameters,
        )
    bounds: list[Key | None] = [None, *map(tuple, cuts), None]
    return [KeyRange(after, until) for after, until in pairwise(bounds)]
