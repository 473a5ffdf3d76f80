"""`backfill`: from rows without a vector to rows with one, and an index over them."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from vla_embeddings.backfill.column import claim, count
from vla_embeddings.backfill.indexing import build_index, drop_indexes, plan_index
from vla_embeddings.backfill.pace import Pace
from vla_embeddings.backfill.pipeline import Pipeline
from vla_embeddings.backfill.report import BackfillPlan, BackfillProgress, BackfillReport
from vla_embeddings.backfill.sources import Embedder, checked_root
from vla_embeddings.backfill.target import Target, find_target
from vla_embeddings.errors import InvalidInput
from vla_embeddings.search.filters import Filters
from vla_embeddings.search.handles import Handle, connected, opens_connections
from vla_embeddings.service import EmbeddingService

logger = logging.getLogger(__name__)

Progress = Callable[[BackfillProgress], None]


async def backfill(
    db: Handle,
    service: EmbeddingService,
    *,
    table: str,
    source_column: str,
    embedding_column: str,
    kind: Literal["text", "image"] = "text",
    root: Path | None = None,
    filters: Filters | None = None,
    replace: bool = False,
    rows_per_second: float | None = None,
    index: bool = True,
    dry_run: bool = False,
    progress: Progress | None = None,
    stop: asyncio.Event | None = None,
) -> BackfillReport:
    """Give a vector to every row that has none.

    Each block of rows is leased, embedded and written in a transaction of its own, while others
    are read and embedded; so a run may end at any point, and another goes on where it was, and
    several may work at once. The service's cache is neither asked nor filled.

    Args:
        db: opens up to three connections: a Database, an asyncpg Pool, a SQLAlchemy AsyncEngine.
        table: `table` or `schema.table`, with a primary key of one column.
        source_column: the instructions; for images, their content as bytea, or their paths.
        embedding_column: a vector column of the model's dimension. Its comment remembers the
            model; see `batch_index_embeddings`.
        root: the folder that paths of images start from and never leave.
        filters: only rows that pass, as in `cosine_similarity_search`.
        replace: where another model filled the column, empty it first.
        rows_per_second: at most so many in the long run.
        index: see to the column's index, as `BackfillPlan.index` says; else it is left alone.
        dry_run: count and plan, and change nothing.
        progress: called after each block, and a few times a second while the index is built.
        stop: once it is set, blocks at hand are finished and no further ones begun.

    Returns:
        What was done. Rows that cannot be embedded (NULL, blank, broken images, missing files)
        are listed with the reason, stay as they are, and are tried again by the next run alone.

    Raises:
        UnknownName: no such table or column.
        InvalidInput: an argument, or a table, that cannot be worked with.
        DimensionMismatch: the column's vectors are of another length than the model's.
        SearchError: another model filled the column, and `replace` is not set.
        DatabaseUnavailable: the server went away; blocks before it stay written.
        Others: as `EmbeddingService.get_instruction_embedding`.
    """
    started = _Run(db, service, kind, index=index, replace=replace)
    """
