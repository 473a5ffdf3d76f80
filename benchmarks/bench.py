"""What every suite is given."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.devices import RUNS_ON, USUAL
from benchmarks.harness import Advance
from benchmarks.inputs import Inputs
from benchmarks.peers.adapter import Place
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.size import Size
from vla_embeddings.config import Device, EmbeddingConfig
from vla_embeddings.latency import installed, service_of, setting_of
from vla_embeddings.models import Artifact, ArtifactStore, Kind, Precision, find_model
from vla_embeddings.runtime import ProviderChoice, available_cpus, select
from vla_embeddings.service import EmbeddingService

Track = Callable[[str, int], Advance]
"""Starts a progress bar of a length, and returns what moves it on."""


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """Size, inputs, models, device, peers and servers of one run."""

    size: Size
    inputs: Inputs
    config: EmbeddingConfig
    peers: PeerEnvironment | None
    """Where other encoders run; None measures without any."""
    track: Track
    device: Device = "cpu"
    """What the models run on; never `auto`."""
    stores: PeerEnvironment | None = None
    """Where other caches and vector stores run; likewise."""
    redis_url: str | None = None
    """A Redis to measure the cache on; None for an embedded Valkey."""
    database_url: str | None = None
    """A PostgreSQL to measure the search on; None for an embedded one."""

    @property
    def on_gpu(self) -> bool:
        """Whether the models run on one."""
        return self.device != "cpu"

    @property
    def place(self) -> Place:
        """Where the peers run."""
        return Place("cuda" if self.on_gpu else "cpu", available_cpus())

    def artifacts(self, kind: Kind) -> list[Artifact]:
        """The exported models of a kind for the device, fp32 first."""
        found = installed(self.config, tuple(RUNS_ON[self.device]))
        return [each for each in found if each.manifest.kind == kind]

    def fp32(self, kind: Kind) -> Artifact:
        """The exported model that all others are compared with."""
        return self.artifacts(kind)[0]

    def usual(self, kind: Kind) -> Artifact:
        """The exported model that a service takes on the device by itself."""
        model = find_model(self.config.name_of_model(kind), kind)
        return ArtifactStore(self.config.models_dir).open(model, USUAL[self.device])

    def choice(self, artifact: Artifact) -> ProviderChoice:
        """The providers that run it."""
        manifest = artifact.manifest
        model, device = find_model(manifest.model, manifest.kind), RUNS_ON[self.device]
        store = ArtifactStore(self.config.models_dir)
        _, choice = select(model, store, device[manifest.precision], setting_of(artifact))
        return choice

    def service(self, artifact: Artifact, *, nice: int | None = None) -> EmbeddingService:
        """One without a cache that serves it; `nice` stands in for the setting."""
        config = self.config if nice is None else self.config.model_copy(update={"nice": nice})
        return service_of(artifact, RUNS_ON[self.device][artifact.manifest.precision], config)

    def name_of(self, precision: Precision) -> str:
        """Ours in the tables; on a GPU with what runs it."""
        name = f"ours {precision}"
        return f"{name}, {RUNS_ON[self.device][precision]}" if self.on_gpu else name

    @property
    def usual_name(self) -> str:
        """That of the precision which a service takes by itself."""
        return self.name_of(USUAL[self.device])
