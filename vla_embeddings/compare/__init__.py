"""Whether the vectors that a table holds are those that the service makes of the same sources."""

from vla_embeddings.compare.report import ComparedRow, Comparison
from vla_embeddings.compare.run import MIN_COSINE, compare

__all__ = ["MIN_COSINE", "ComparedRow", "Comparison", "compare"]
