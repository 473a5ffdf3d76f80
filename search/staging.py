"""New vectors for rows that exist: COPY into a temporary table, and one UPDATE from it.

To make and drop the table takes 2 ms of a chunk's 30. What else would do, `executemany` or
`unnest` of pgvector's arrays, needs a codec on the caller's connection. Processor time of a row
with a vector of 384, here and on the server: 2.3 + 7.4 µs, of which the UPDATE is 4.9;
`executemany` 4.3 + 8.9, `unnest` 3.4 + 6.0. `executemany` keeps both sides busy at once, and so
does a chunk that is staged before its turn.
"""

import logging

from vla_embeddings.search.catalog import Column, Table
from vla_embeddings.search.copying import Rows, copy_rows
from vla_embeddings.search.handles import Connection, atomic
from vla_embeddings.search.pipeline import Turn

logger = logging.getLogger(__name__)

_NAME = "vla_embeddings_staged"
_STAGED = f"pg_temp.{_NAME}"

# Vectors of more than 500 numbers would go to a table beside it and come back: of 5,000 with 512
# numbers, staging takes 23 instead of 37 ms and the UPDATE 59 instead of 66.
_NOT_APART = "WITH (toast_tuple_target = 8160)"


async def update_rows(connection: Connection, target: Table, rows: Rows, *, turn: Turn) -> int:
    """Store the vectors of `rows` where their other columns say, and count the rows changed.

    All or none: in the caller's transaction it is a savepoint. Ids without a row are named in a
    warning. `turn` comes between staging and UPDATE.
    """
    async with atomic(connection):
        if turn.must_wait:
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        columns = [f"{column.sql} {column.type}" for column in (*rows.columns, rows.column)]
        await connection.execute(
            f"CREATE TEMPORARY TABLE {_NAME} ({', '.join(columns)}) {_NOT_APART}"
        )
        await copy_rows(connection, "pg_temp", _NAME, rows)
        await turn.wait()
        changed = await _update(connection, target, rows)
        await connection.execute(f"DROP TABLE {_STAGED}")
    return changed


async def may_stage_early(connection: Connection, target: Table, column: Column) -> bool:
    """Whether one chunk may be staged while another is being stored.

    Not where each row also goes into a vector index, which takes so long that nothing is gained
    by holding a second connection; and above READ COMMITTED, a transaction that is open already
    would not see what is stored meanwhile.
    """
    if any(index.column == column.name for index in target.indexes):
        return False
    isolation: str = await connection.fetchval("SHOW default_transaction_isolation")
    return isolation == "read committed"


async def _update(connection: Connection, target: Table, rows: Rows) -> int:
    count = len(rows.vectors)
    # The inner LIMIT tells the planner how many there are: it thinks vectors so much smaller than
    # they are that it would expect 27 times as many. Of a LIMIT it cannot see it expects a tenth,
    # and looks rows up by their key rather than read the whole table for a hash: its costs are
    # those of a cold disk. In memory, 5,000 of 20,000 rows take 24 ms so, and 28 ms by a hash.
    changed, used = await _update_from(
        connection,
        target,
        rows,
        f"SELECT * FROM (SELECT ctid, * FROM {_STAGED} LIMIT {count}) AS known "
        f"LIMIT (SELECT {count})",
    )
    if used < count and used + await _warn_of_missing(connection, target, rows) < count:
        # Ids that differ here are equal there, such as a UUID and its text: the last is to win.
        keys = ", ".join(key.sql for key in rows.columns)
        last = f"SELECT DISTINCT ON ({keys}) ctid, * FROM {_STAGED} ORDER BY {keys}, ctid DESC"
        await _update_from(connection, target, rows, last)
    return changed


async def _update_from(
    connection: Connection, target: Table, rows: Rows, staged: str
) -> tuple[int, int]:
    """How many rows were changed, and by how many of those staged."""
    update = (
        f"UPDATE {target.sql} AS t SET {rows.column.sql} = staged.{rows.column.sql} "
        f"FROM ({staged}) AS staged WHERE {_same(rows)}"
    )
    if {key.name for key in rows.columns} == {*target.key}:
        # One row at most for each that is staged: to count those takes a seventh of the UPDATE.
        changed = int((await connection.execute(update)).rpartition(" ")[2])
        return changed, changed
    [counts] = await connection.fetch(
        f"WITH changed AS ({update} RETURNING staged.ctid) "
        "SELECT count(*), count(DISTINCT ctid) FROM changed"
    )
    return counts[0], counts[1]


async def _warn_of_missing(connection: Connection, target: Table, rows: Rows) -> int:
    """Name some of the ids that have no row, and count them."""
    keys = ", ".join(f"staged.{key.sql}" for key in rows.columns)
    missing = await connection.fetch(
        f"SELECT {keys}, count(*) OVER () FROM {_STAGED} AS staged WHERE NOT EXISTS "
        f"(SELECT FROM {target.sql} AS t WHERE {_same(rows)}) LIMIT 5"
    )
    if not missing:
        return 0
    ids = [tuple(row)[:-1] for row in missing]
    count: int = missing[0][-1]
    logger.warning(
        "%d of %d ids have no row in %s, among them %s",
        count,
        len(rows.vectors),
        target.sql,
        ", ".join(repr(values[0] if len(values) == 1 else values) for values in ids),
    )
    return count


def _same(rows: Rows) -> str:
    return " AND ".join(f"t.{key.sql} = staged.{key.sql}" for key in rows.columns)
