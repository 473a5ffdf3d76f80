"""What an index should be, checked, and as SQL."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from vla_embeddings.errors import InvalidInput, SearchError
from vla_embeddings.search.catalog import Column, Table, VectorIndex, quoted
from vla_embeddings.search.metric import Metric

# pgvector's limits of a vector that is indexed; `MAX_STORED_DIMENSION` is that of a stored one.
MAX_INDEXED_DIMENSION = {"vector": 2000, "halfvec": 4000}

# pgvector's own.
MAX_LISTS = 32_768
DEFAULT_LISTS = 100
_DEFAULTS = {"hnsw": {"m": 16, "ef_construction": 64}, "ivfflat": {"lists": DEFAULT_LISTS}}

_NAME_BYTES = 63  # PostgreSQL cuts longer names without a word


@dataclass(frozen=True)
class IndexDefinition:
    """One HNSW or IVFFlat index on one column.

    Raises:
        InvalidInput: an option out of range, or a column that cannot be indexed so.
        SearchError: pgvector is too old for a half-precision index.
    """

    table: Table
    column: Column
    method: Literal["hnsw", "ivfflat"]
    metric: Metric
    half: bool
    options: dict[str, int]

    def __post_init__(self) -> None:
        for name, least, most in (
            ("m", 2, 100),
            ("ef_construction", 4, 1000),
            ("lists", 1, MAX_LISTS),
        ):
            value = self.options.get(name, least)
            if type(value) is not int or not least <= value <= most:
                raise InvalidInput(
                    f"{name} must be a whole number from {least} to {most}; got {value!r}."
                )
        m, ef_construction = self.options.get("m"), self.options.get("ef_construction")
        if m and ef_construction and ef_construction < 2 * m:
            raise InvalidInput(
                f"ef_construction must be at least twice m; got {ef_construction} for m={m}."
            )
        if self.half and self.table.extension.version < (0, 7):
            raise SearchError("A half-precision index needs pgvector 0.7; upgrade the extension.")
        most = MAX_INDEXED_DIMENSION[self.indexed_type]
        if not 0 < (self.column.dimension or 0) <= most:
            raise InvalidInput(
                f"An index on {self.column.sql} needs a declared dimension of at most {most} "
                f"({self.indexed_type}); it has {self.column.dimension or 'none'}. half=True "
                f"allows {MAX_INDEXED_DIMENSION['halfvec']}."
            )

    @property
    def indexed_type(self) -> str:
        """The type of what the index holds."""
        return "halfvec" if self.half else self.column.vector_type or "vector"

    @property
    def name(self) -> str:
        """Telling, and short enough: too long a name ends in a hash."""
        name = "_".join(self._parts)
        return name if len(name.encode()) <= _NAME_BYTES else self.hashed_name

    @property
    def hashed_name(self) -> str:
        """Unique too: those of table `a_b`, column `c` and of table `a`, column `b_c` differ."""
        digest = hashlib.sha256("\0".join(self._parts).encode()).hexdigest()[:8]
        start = "_".join(self._parts).encode()[: _NAME_BYTES - 9].decode(errors="ignore")
        return f"{start}_{digest}"

    @property
    def _parts(self) -> tuple[str, ...]:
        metric = self.metric.opclass.removesuffix("_ops") + ("_f16" if self.half else "")
        return (self.table.name, self.column.name, self.method, metric, "idx")

    def create_statement(self, *, concurrently: bool, name: str | None = None) -> str:
        """CREATE INDEX; without IF NOT EXISTS, which is content with an invalid index.

        `name` is in place of its own.
        """
        extension = self.table.extension
        expression = self.column.sql
        if self.half and self.column.vector_type == "vector":
            expression = f"({expression}::{extension.type('halfvec')}({self.column.dimension}))"
        opclass = extension.type(f"{self.indexed_type}_{self.metric.opclass}")
        options = ", ".join(f"{name} = {value}" for name, value in self.options.items())
        return (
            f"CREATE INDEX {'CONCURRENTLY ' if concurrently else ''}{quoted(name or self.name)} "
            f"ON {self.table.sql} USING {self.method} ({expression} {opclass}) WITH ({options})"
        )

    def build_megabytes(self, rows: int) -> int:
        """About what a build of `rows` needs to stay in memory.

        HNSW keeps the whole graph: each vector, its element and 2 m links of 16 bytes (a little
        more on upper levels). IVFFlat keeps 50 sampled vectors a list, twice over.
        """
        vector = (self.column.dimension or 0) * (2 if self.indexed_type == "halfvec" else 4)
        if self.method == "hnsw":
            return rows * (vector + 40 * self.options["m"] + 250) >> 20
        return 2 * 50 * self.options["lists"] * (vector + 50) >> 20

    def rivals(self, index: VectorIndex) -> bool:
        """Whether `index` does what this one would do, in whatever way."""
        return (
            index.column == self.column.name
            and index.method == self.method
            and index.metric == self.metric.name
            and not index.partial
        )

    def equals(self, index: VectorIndex) -> bool:
        """Whether `index` is this very one, under whatever name."""
        effective = {**_DEFAULTS[self.method], **index.options}
        half = self.half and self.column.vector_type == "vector"
        return self.rivals(index) and index.half == half and effective == self.options
