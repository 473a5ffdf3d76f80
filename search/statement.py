"""One nearest-neighbour query as SQL."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.search.binding import Parameters
from vla_embeddings.search.catalog import Column, Table, VectorIndex
from vla_embeddings.search.filters import Filters, conditions
from vla_embeddings.search.metric import Metric

MAX_EXTRA = 100  # a scan's rows are out of order by about `hnsw.ef_search` at most


@dataclass(frozen=True)
class Nearest:
    """The `top_k` rows of `table` nearest to `query`, before any threshold.

    A record of either statement holds the values of `columns`, the distance, and the key that
    breaks ties, in this order. A threshold is not in the SQL: beside ORDER BY ... LIMIT it
    would send an iterative index scan through the whole table for rows that do not exist
    (145 ms against 2 ms over 20,000 vectors).
    """

    table: Table
    column: Column
    metric: Metric
    query: NDArray[np.float32]
    top_k: int
    filters: Filters | None
    columns: tuple[Column, ...]

    @property
    def indexes(self) -> tuple[VectorIndex, ...]:
        """Those of the table's indexes that could serve."""
        return tuple(
            index
            for index in self.table.indexes
            if index.column == self.column.name
            and index.metric == self.metric.name
            and index.state == "valid"
        )

    @property
    def candidates(self) -> int:
        """How many rows to take from an index.

        A scan in relaxed order ends with the first rows that pass a filter, and some nearer ones
        may come a little later. Of 50,000 instructions, where 1 % pass, half as many again hold
        0.995 of the ten nearest instead of 0.990, in 1.16 of the time.
        """
        extra = min((self.top_k + 1) // 2, MAX_EXTRA) if self.filters else 0
        return self.top_k + extra

    def exact(self) -> tuple[str, Parameters]:
        """Every row is compared: `+ 0` keeps any index from matching the order.

        `SET enable_indexscan = off` would not do, as PostgreSQL may have settled the plan of a
        statement that asyncpg has cached.
        """
        select, parameters = self._select()
        order = ", ".join([f"{self._distance(half=False)} + 0", *self._key()])
        return f"{select} ORDER BY {order} LIMIT {self.top_k}", parameters

    def indexed(self, settings: dict[str, str]) -> tuple[str, Parameters]:
        """An index may give the order, with `settings` in force while it is scanned.

        They are set within the statement, which saves the round trips of a transaction. The
        scan stands in a LATERAL subquery that needs the outcome of `set_config`, so it cannot
        start before. `true` makes them local to the transaction, and without an open one that
        is this statement.
        """
        half = not any(not index.half and not index.partial for index in self.indexes)
        select, parameters = self._select("setting.done IS NOT NULL")
        done = " || ".join(f"set_config('{name}', '{to}', true)" for name, to in settings.items())
        return (
            f"WITH setting AS MATERIALIZED (SELECT {done} AS done) "
            f"SELECT hit.* FROM setting, LATERAL ({select} "
            f"ORDER BY {self._distance(half=half)} LIMIT {self.candidates}) AS hit"
        ), parameters

    def _select(self, *extra: str) -> tuple[str, Parameters]:
        parameters = Parameters()
        parameters.bind_vector(self.query, self.column)  # $1
        where = [*extra, *conditions(self.filters, self.table, parameters)]
        outputs = [*map(self._output, self.columns), self._distance(half=False), *self._key()]
        return (
            f"SELECT {', '.join(outputs)} FROM {self.table.sql} AS t"
            + (f" WHERE {' AND '.join(where)}" if where else "")
        ), parameters

    def _output(self, column: Column) -> str:
        # The binary form, so that no codec has to be registered on the caller's connection.
        if column.vector_type:
            return f"{column.send}(t.{column.sql})"
        return f"t.{column.sql}"

    def _distance(self, *, half: bool) -> str:
        """pgvector's distance; `half` compares in the precision of a half-precision index."""
        extension = self.table.extension
        stored, wanted = f"t.{self.column.sql}", self.column.vector_type or "vector"
        if half and wanted == "vector":
            wanted = "halfvec"
            stored += f"::{extension.type('halfvec')}({self.column.dimension})"
        query = f"$1::real[]::{extension.type(wanted)}"
        return f"({stored} {extension.operator(self.metric)} {query})"

    def _key(self) -> list[str]:
        """The primary key, or where the row lies; a view has neither."""
        if self.table.key:
            return [f"t.{self.table.column(name).sql}" for name in self.table.key]
        return {"r": ["t.ctid"], "m": ["t.ctid"], "p": ["t.tableoid", "t.ctid"]}.get(
            self.table.kind, []
        )
