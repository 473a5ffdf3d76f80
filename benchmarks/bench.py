"""What every suite is given."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.harness import Advance
from benchmarks.inputs import Inputs
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.size import Size
from vla_embeddings.config import EmbeddingConfig
from vla_embeddings.latency import installed
from vla_embeddings.models import Artifact, Kind, Precision

CPU_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
"""Those that make sense on a CPU; fp16 is for GPUs."""

Track = Callable[[str, int], Advance]
"""Starts a progress bar of a length, and returns what moves it on."""


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """Size, inputs, models, peers and servers of one run."""

    size: Size
    inputs: Inputs
    config: EmbeddingConfig
    peers: PeerEnvironment | None
    """Where other encoders run; None measures without any."""
    track: Track
    stores: PeerEnvironment | None = None
    """Where other caches and vector stores run; likewise."""
    redis_url: str | None = None
    """A Redis to measure the cache on; None for an embedded Valkey."""
    database_url: str | None = None
    """A PostgreSQL to measure the search on; None for an embedded one."""

    def artifacts(self, kind: Kind) -> list[Artifact]:
        """The exported models of a kind for CPUs, fp32 first."""
        found = {
            each.manifest.precision: each
            for each in installed(self.config)
            if each.manifest.kind == kind
        }
        return [found[precision] for precision in CPU_PRECISIONS if precision in found]

    def fp32(self, kind: Kind) -> Artifact:
        """The exported model that all others are compared with."""
        return self.artifacts(kind)[0]
