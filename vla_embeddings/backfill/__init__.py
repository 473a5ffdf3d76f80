"""Vectors for rows that are there already: any table, instructions or images, millions of them."""

from vla_embeddings.backfill.report import (
    BackfillPlan,
    BackfillProgress,
    BackfillReport,
    FailedRow,
)
from vla_embeddings.backfill.run import backfill

__all__ = ["BackfillPlan", "BackfillProgress", "BackfillReport", "FailedRow", "backfill"]
