"""What every suite is given."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.harness import Advance
from benchmarks.inputs import Inputs
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.size import Size
from vla_embeddings.config import EmbeddingConfig
from vla_embeddings.latency import installed
from vla_embeddings.models import Artifact, Kind

Track = Callable[[str, int], Advance]
"""Starts a progress bar of a length, and returns what moves it on."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Size, inputs, models and peers of one run."""

    size: Size
    inputs: Inputs
    config: EmbeddingConfig
    peers: PeerEnvironment | None
    """None measures without any."""
    track: Track

    def artifacts(self, kind: Kind) -> list[Artifact]:
        """The exported models of a kind, fp32 first."""
        return [each for each in installed(self.config) if each.manifest.kind == kind]

    def fp32(self, kind: Kind) -> Artifact:
        """The exported model that all others are compared with."""
        return next(each for each in self.artifacts(kind) if each.manifest.precision == "fp32")
