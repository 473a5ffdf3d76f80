"""Two benchmark runs told apart: what became faster or slower beyond the noise."""

from vla_embeddings.tracking.alone import Alone, alone
from vla_embeddings.tracking.changes import Change, compare
from vla_embeddings.tracking.recorded import Run, read_run

__all__ = ["Alone", "Change", "Run", "alone", "compare", "read_run"]
