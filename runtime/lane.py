"""One model at work: found on first use, loaded on first miss, run on its own thread."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.config import Device, EmbeddingConfig, PrecisionSetting
from vla_embeddings.errors import ArtifactDamaged, ProviderUnavailable, UntrainedModel
from vla_embeddings.models import Artifact, ArtifactStore, Model, Precision
from vla_embeddings.runtime.encoders import ImageEncoder, TextEncoder, cache_fingerprint
from vla_embeddings.runtime.placement import Placement
from vla_embeddings.runtime.providers import ProviderChoice
from vla_embeddings.runtime.selection import Selection, select
from vla_embeddings.runtime.threads import available_cpus, lower_priority
from vla_embeddings.runtime.worker import Encode, Vectors, Worker

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
LoadEncoder = Callable[[Artifact, ProviderChoice], tuple[Encode[Item], Placement]]

# Where `auto` turns to when a device turns out not to work.
_NEXT: Mapping[Device, Device] = {"tensorrt": "cuda", "cuda": "cpu"}

# A request waits for at most one batch of bulk work: some 80 ms of texts on two cores, and of
# images half a second.
TEXT_BATCH = 64
IMAGE_BATCH = 8


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """What to load, and where it runs."""

    models_dir: Path
    device: Device
    precision: PrecisionSetting
    allow_untrained: bool
    nice: int = 0
    """See `lower_priority`."""
    gpu_memory_limit_mb: int | None = None
    """See `ProviderChoice`."""
    threads: int | None = None
    """CPU threads of the model; all that the process may use where None."""

    @property
    def cpus(self) -> int:
        """As many threads as the model has."""
        return self.threads or available_cpus()

    @classmethod
    def of(
        cls, config: EmbeddingConfig, device: Device | None, *, allow_untrained: bool
    ) -> "LaneSettings":
        """A service's; `device` goes before the config's."""
        return cls(
            config.models_dir,
            device or config.device,
            config.precision,
            allow_untrained,
            config.nice,
            config.gpu_memory_limit_mb,
            config.threads,
        )


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """What a lane has loaded, and where it runs."""

    model: str
    precision: Precision
    device: Device
    operators: Placement

    @property
    def nodes(self) -> Mapping[str, int]:
        """How many of the graph's operators each provider runs."""
        return {name: sum(counts.values()) for name, counts in self.operators.items()}


class Lane(Generic[Item]):
    """A model, its artefact and its thread; `text_lane` and `image_lane` make one."""

    def __init__(
        self,
        model: Model,
        settings: LaneSettings,
        load: LoadEncoder[Item],
        *,
        batch: int,
        size: Callable[[Item], int] = lambda item: 1,
    ) -> None:
        self.model = model
        self._settings = settings
        self._load_encoder = load
        self._found: Selection | None = None
        self._loaded: LoadedModel | None = None
        self._worker = Worker(f"vla-embeddings-{model.kind}", self._load, batch=batch, size=size)

    async def fingerprint(self) -> str:
        """What the model's vectors depend on besides their input.

        Raises:
            ModelNotFound: it was not exported; ArtifactDamaged where its manifest is unreadable.
            UntrainedModel: it has untrained weights, which were not allowed.
            ProviderUnavailable: the device cannot be had.
            MissingDependency: ONNX Runtime is not installed.
        """
        found = self._found
        if found is None:
            found = await asyncio.to_thread(self._find)
        return cache_fingerprint(found[0])

    async def encode(self, items: Sequence[Item], *, bulk: bool = False) -> Vectors:
        """Vectors (n, dimension) float32; see `Worker.encode` and `Session.load`."""
        return await self._worker.encode(items, bulk=bulk)

    @property
    def loaded(self) -> LoadedModel | None:
        """What was loaded; None before the first call, and after `close()`."""
        return self._loaded

    def close(self) -> None:
        """Free the model and end its thread."""
        self._worker.close()
        self._loaded = None

    def _find(self) -> Selection:
        settings = self._settings
        store = ArtifactStore(settings.models_dir)
        artifact, choice = select(self.model, store, settings.device, settings.precision)
        if artifact.manifest.weights == "untrained" and not settings.allow_untrained:
            raise UntrainedModel(
                f"{artifact.folder} has seeded, untrained weights: its vectors mean nothing. "
                f"Export trained ones ({artifact.remedy} --source FOLDER), or pass "
                "allow_untrained=True."
            )
        self._found = artifact, replace(choice, gpu_memory_limit_mb=settings.gpu_memory_limit_mb)
        return self._found

    def _load(self) -> Encode[Item]:
        # On the worker's thread; the threads of the session that it makes inherit this.
        lower_priority(self._settings.nice)
        falls_back = self._settings.device == "auto"
        while True:
            artifact, choice = self._found or self._find()
            try:
                encode, operators = self._load_encoder(artifact, choice)
                break
            except ArtifactDamaged:
                self._found = None  # the next call finds the one that was made anew meanwhile
                raise
            except ProviderUnavailable as error:
                if not falls_back:
                    raise
                following = _NEXT[choice.device]
                logger.warning("Using %s instead: %s", following, error)
                self._settings = replace(self._settings, device=following)
                self._found = None
        manifest = artifact.manifest
        self._loaded = LoadedModel(manifest.model, manifest.precision, choice.device, operators)
        weights = "" if manifest.weights == "trained" else "UNTRAINED "
        logger.info("Loaded %s%s on %s", weights, manifest.fingerprint, choice.device)
        return encode


def text_lane(model: Model, settings: LaneSettings) -> Lane[str]:
    """The lane of a text model."""

    def load(artifact: Artifact, choice: ProviderChoice) -> tuple[Encode[str], Placement]:
        encoder = TextEncoder.load(artifact, choice, threads=settings.cpus)
        return encoder.encode, encoder.session.placement()

    return Lane(model, settings, load, batch=TEXT_BATCH, size=len)


def image_lane(model: Model, settings: LaneSettings) -> Lane[NDArray[np.uint8]]:
    """The lane of an image model; its items are pixels (224, 224, 3) from `preprocess`."""

    def load(
        artifact: Artifact, choice: ProviderChoice
    ) -> tuple[Encode[NDArray[np.uint8]], Placement]:
        encoder = ImageEncoder.load(artifact, choice, threads=settings.cpus)
        return lambda images: encoder.encode(np.stack(images)), encoder.session.placement()

    return Lane(model, settings, load, batch=IMAGE_BATCH)
