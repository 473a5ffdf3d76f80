"""The SQL of nearest-neighbour queries, which is the same for all queries of one shape.

Its text is remembered, which saves a search some 27 µs of the 200 that it added to asyncpg's own.
"""

from functools import lru_cache
from typing import NamedTuple

from vla_embeddings.search.catalog import Column, Table
from vla_embeddings.search.metric import Metric
from vla_embeddings.search.tuning import search_settings

MAX_EXTRA = 100  # a scan's rows are out of order by about `hnsw.ef_search` at most
REMEMBERED = 256  # texts of each kind; with the table that each keeps, some 9 kB

# An index scan that a filter prolongs is estimated this much too cheap: docs/adr/0017-filters.md.
INDEX_COST = 4

# PostgreSQL may keep a plan of a statement for any values, where it seems no dearer than those for
# the first five, and assumes that a third of all rows are `<` any value. With values in hand this
# is just true; without them it adds the cost of what would never be run. The count asks for a
# column of the row, since for parallel workers one that does not is run beforehand.
PLANNED_FOR_VALUES = (
    "($1 IS NOT NULL OR 0 < (SELECT count(*) FROM generate_series(1, 1e15::bigint) "
    "WHERE {column} IS NOT NULL))"
)


class Shape(NamedTuple):
    """All that the text depends on; no value among it.

    `table` and `columns` are equal to nothing but themselves, so once the catalog was read anew
    nothing that is remembered of them is used again. `dimension` is the query's, `half` says that
    an index gives the order in half precision, and `conditions` say which rows count, by
    parameters from `$2` on.
    """

    table: Table
    column: Column
    metric: Metric
    dimension: int
    half: bool
    top_k: int
    columns: tuple[Column, ...]
    conditions: tuple[str, ...]

    @property
    def candidates(self) -> int:
        """How many rows to take from an index.

        A scan in relaxed order ends with the first rows that pass a filter, and some nearer ones
        may come a little later. Of 50,000 instructions, where 1 % pass, half as many again hold
        0.995 of the ten nearest instead of 0.990, in 1.16 of the time.
        """
        extra = min((self.top_k + 1) // 2, MAX_EXTRA) if self.conditions else 0
        return self.top_k + extra

    def select(self, *conditions: str) -> str:
        """The query without its order; `conditions` come on top."""
        where = [*conditions, *self.conditions]
        if self.conditions:
            where.append(PLANNED_FOR_VALUES.format(column=f"t.{self.column.sql}"))
        outputs = [*map(_output, self.columns), self.distance(half=False), *self.key()]
        return f"SELECT {', '.join(outputs)} FROM {self.table.sql} AS t" + (
            f" WHERE {' AND '.join(where)}" if where else ""
        )

    def distance(self, *, half: bool) -> str:
        """pgvector's distance; `half` compares in the precision of a half-precision index."""
        extension = self.table.extension
        stored, wanted = f"t.{self.column.sql}", self.column.vector_type or "vector"
        if half and wanted == "vector":
            wanted = "halfvec"
            stored += f"::{extension.type('halfvec')}({self.dimension})"
        query = f"$1::real[]::{extension.type(wanted)}"
        return f"({stored} {extension.operator(self.metric)} {query})"

    def key(self) -> list[str]:
        """The primary key, or where the row lies; a view has neither."""
        if self.table.key:
            return [f"t.{self.table.column(name).sql}" for name in self.table.key]
        return {"r": ["t.ctid"], "m": ["t.ctid"], "p": ["t.tableoid", "t.ctid"]}.get(
            self.table.kind, []
        )


@lru_cache(REMEMBERED)
def exact_sql(shape: Shape) -> str:
    """Every row is compared: `+ 0` keeps any index from matching the order.

    `SET enable_indexscan = off` would not do, as PostgreSQL may have settled the plan of a
    statement that asyncpg has cached.
    """
    order = ", ".join([f"{shape.distance(half=False)} + 0", *shape.key()])
    return f"{shape.select()} ORDER BY {order} LIMIT {shape.top_k}"


@lru_cache(REMEMBERED)
def indexed_sql(shape: Shape, ef_search: int | None, probes: int | None) -> str:
    """An index may give the order, with `search_settings` in force while it is scanned.

    They are set within the statement, which saves the round trips of a transaction. The
    scan stands in a LATERAL subquery that needs the outcome of `set_config`, so it cannot
    start before. `true` makes them local to the transaction, and without an open one that
    is this statement.

    The rows are sorted once more by exact distance and key, which a relaxed scan or an index in
    half precision does not do; `+ 0`, as PostgreSQL would take the scan's order for exact.
    """
    settings = search_settings(
        shape.table.serving(shape.column, shape.metric),
        shape.table.extension,
        top_k=shape.top_k,
        ef_search=ef_search,
        probes=probes,
    )
    done = " || ".join(f"set_config('{name}', '{to}', true)" for name, to in settings.items())
    names = [f"c{place}" for place in range(len(shape.columns) + 1 + len(shape.key()))]
    nearest = (
        f"{shape.select('setting.done IS NOT NULL')} ORDER BY {shape.distance(half=shape.half)}"
    )
    hit = _filtered(nearest, shape) if shape.conditions else f"{nearest} LIMIT {shape.candidates}"
    distance, *key = names[len(shape.columns) :]
    return (
        f"WITH setting AS MATERIALIZED (SELECT {done} AS done) "
        f"SELECT hit.* FROM setting, LATERAL ({hit}) AS hit({', '.join(names)}) "
        f"ORDER BY {', '.join([f'{distance} + 0', *key])}"
    )


def _filtered(nearest: str, shape: Shape) -> str:
    """The candidates, by an index or by sorting the rows that pass, whichever costs less.

    PostgreSQL plans a materialized CTE for all its rows, and computes only those that are taken.
    """
    return (
        f"WITH nearest AS MATERIALIZED ({nearest} LIMIT {INDEX_COST * shape.candidates}) "
        f"SELECT * FROM nearest LIMIT {shape.candidates}"
    )


def _output(column: Column) -> str:
    # The binary form, so that no codec has to be registered on the caller's connection.
    if column.vector_type:
        return f"{column.send}(t.{column.sql})"
    return f"t.{column.sql}"
