"""`compare`: random rows of a table, embedded again and held against what is stored."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.backfill import FailedRow
from vla_embeddings.backfill.engine import BLOCK_ROWS
from vla_embeddings.backfill.keys import Key
from vla_embeddings.backfill.leases import Row
from vla_embeddings.backfill.sources import EmbedRows, check_model, embedding_of
from vla_embeddings.backfill.target import Kind, Target, find_target
from vla_embeddings.compare.cosines import cosine, fault_of, is_unit
from vla_embeddings.compare.report import ComparedRow, Comparison, Progress
from vla_embeddings.compare.sample import random_keys, read_rows
from vla_embeddings.errors import InvalidInput, SearchError
from vla_embeddings.search.filters import Filters
from vla_embeddings.search.fingerprint import recorded_fingerprint
from vla_embeddings.search.handles import Handle, connected
from vla_embeddings.service import EmbeddingService

MIN_COSINE = 0.999
"""The least cosine of vectors that may share a column, by default.

fp32 and fp16 graphs stay above 0.9995 of their PyTorch model (`export/parity.py`); int8 falls to
0.9967 at the 1st percentile of instructions (docs/adr/0004-int8.md), and another model's vectors
far below.
"""


async def compare(
    db: Handle,
    service: EmbeddingService,
    *,
    table: str,
    source_column: str,
    embedding_column: str,
    kind: Kind = "text",
    root: Path | None = None,
    filters: Filters | None = None,
    sample: int = 1000,
    min_cosine: float = MIN_COSINE,
    progress: Progress | None = None,
) -> Comparison:
    """Embed the sources of random rows again, and measure the cosine to their stored vectors.

    Nothing is written, and the service's cache is neither asked nor filled. Of a large table only
    some pages are read.

    Args:
        db: any handle; it is given back while rows are embedded.
        table, source_column, embedding_column, kind, root, filters: as for `backfill`; rows
            without a vector are passed over.
        sample: rows to draw; all are taken where there are fewer.
        min_cosine: what every row has to reach, -1 to 1.
        progress: called at the start and after each block of rows.

    Returns:
        What was found. That another model filled the column, by its comment, is said there and
        is no error: whether the two agree is the question.

    Raises:
        SearchError: no row that passes the filters has a vector.
        DimensionMismatch: the column is for vectors of another length than the model's.
        UnknownName: no such table or column.
        InvalidInput: an argument, or a table, that cannot be worked with.
        DatabaseUnavailable: the server went away.
        Others: as `EmbeddingService.get_instruction_embedding`.
    """
    _check(sample, min_cosine)
    fingerprint = await service.fingerprint(kind)
    async with connected(db) as connection:
        target = await find_target(
            connection, table, source_column, embedding_column, kind=kind, filters=filters
        )
        embed = embedding_of(service, target, root)
        await check_model(service, target)
        target = await target.fresh(connection)  # what the comment says now is reported
        keys = await random_keys(connection, target, sample)
    if not keys:
        chosen = " that passes the filters" if filters else ""
        raise SearchError(
            f"No row of {target.table.sql}{chosen} has a vector in {target.embedding.sql}; there "
            "is nothing to compare."
        )
    tally = await _compared(db, target, keys, embed, progress or _silent)
    return Comparison(
        table=target.table.sql,
        source_column=target.source.name,
        embedding_column=target.embedding.name,
        fingerprint=fingerprint,
        recorded=recorded_fingerprint(target.embedding),
        min_cosine=min_cosine,
        rows=tuple(sorted(tally.rows, key=lambda row: row.cosine)),
        unusable=tuple(tally.unusable),
        failed=tuple(tally.failed),
        not_unit=tally.not_unit,
    )


@dataclass
class _Tally:
    rows: list[ComparedRow] = field(default_factory=list)
    unusable: list[FailedRow] = field(default_factory=list)
    failed: list[FailedRow] = field(default_factory=list)
    not_unit: int = 0

    def add(
        self, row: Row, stored: NDArray[np.float32], fresh: NDArray[np.float32] | FailedRow
    ) -> None:
        if isinstance(fresh, FailedRow):
            self.failed.append(fresh)
        elif fault := fault_of(stored, fresh.size):
            self.unusable.append(FailedRow(row.id, fault))
        else:
            self.rows.append(ComparedRow(row.id, cosine(stored, fresh)))
            self.not_unit += not is_unit(stored)


async def _compared(
    db: Handle, target: Target, keys: list[Key], embed: EmbedRows, progress: Progress
) -> _Tally:
    tally, size = _Tally(), BLOCK_ROWS[target.kind]
    progress(0, len(keys))
    for start in range(0, len(keys), size):
        block = keys[start : start + size]
        async with connected(db) as connection:
            found = await read_rows(connection, target, block)
        outcomes = await embed([row for row, _ in found])
        for (row, stored), fresh in zip(found, outcomes, strict=True):
            tally.add(row, stored, fresh)
        progress(start + len(block), len(keys))
    return tally


def _check(sample: int, min_cosine: float) -> None:
    if type(sample) is not int or sample < 1:
        raise InvalidInput(f"sample must be a whole number from 1; got {sample!r}.")
    if not -1 <= min_cosine <= 1:
        raise InvalidInput(f"min_cosine must be a number from -1 to 1; got {min_cosine!r}.")


def _silent(_done: int, _total: int) -> None:
    return
