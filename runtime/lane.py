"""One model at work: found on first use, loaded on first miss, run on threads of its own."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.config import Device, EmbeddingConfig, PrecisionSetting
from vla_embeddings.errors import (
    ArtifactDamaged,
    ConfigurationError,
    ProviderUnavailable,
    UntrainedModel,
)
from vla_embeddings.models import Artifact, ArtifactStore, Model, Precision
from vla_embeddings.runtime.bulk import Bulk
from vla_embeddings.runtime.encoders import (
    IMAGE_BATCH,
    Encoder,
    ImageEncoder,
    TextEncoder,
    Vectors,
    cache_fingerprint,
)
from vla_embeddings.runtime.lookup import Lookup
from vla_embeddings.runtime.placement import Placement
from vla_embeddings.runtime.providers import ProviderChoice
from vla_embeddings.runtime.selection import Selection, select
from vla_embeddings.runtime.threads import available_cpus, lower_priority
from vla_embeddings.runtime.worker import Cut, Worker

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

LoadEncoder = Callable[[Artifact, ProviderChoice, int], Encoder[Item]]
"""Loads an artefact, for runs on so many CPU threads."""

# Where `auto` turns to when a device turns out not to work.
_NEXT: Mapping[Device, Device] = {"tensorrt": "cuda", "cuda": "cpu"}

TEXT_BATCH = 64
"""Texts that one thread encodes together at most: some 80 ms on two cores."""


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
    """CPU threads of requests, and as many of bulk work; None is all that the process may use."""

    @property
    def cpus(self) -> int:
        """As many threads as the model has."""
        return self.threads or available_cpus()

    @classmethod
    def of(
        cls, config: EmbeddingConfig, device: Device | None, *, allow_untrained: bool
    ) -> "LaneSettings":
        """A service's; `device` goes before the config's.

        Raises:
            ConfigurationError: there is no such device.
        """
        if device not in (None, *get_args(Device)):
            raise ConfigurationError(
                f"device must be one of {', '.join(get_args(Device))}; got {device!r}."
            )
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
    """A model, its artefact and its threads; `text_lane` and `image_lane` make one.

    Requests have one thread, which runs the model on all cores. On a CPU, bulk work has threads of
    its own and an encoder that uses one core each; on a GPU it waits behind the requests. Where
    the artefact's files change after one encoder was loaded, that one serves both.
    """

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
        self._failed: set[Device] = set()  # which `auto` no longer takes
        self._load_encoder = load
        self._batch = batch
        self._encoders: dict[int, Encoder[Item]] = {}  # by their threads
        self._loading = threading.Lock()
        self._loaded: LoadedModel | None = None
        name = f"vla-embeddings-{model.kind}"
        # Once an encoder is loaded, it is what that one was made of.
        self._selection = Lookup(f"{name}-lookup", self._select)
        self._worker = Worker(name, self._load_for_requests, batch=batch, size=size)
        self._bulk = Bulk(
            f"{name}-bulk",
            lambda: self._load(1),
            threads=settings.cpus,
            nice=settings.nice,
        )

    async def fingerprint(self) -> str:
        """What the model's vectors depend on besides their input.

        Raises:
            ModelNotFound: it was not exported; ArtifactDamaged where its manifest is unreadable.
            UntrainedModel: it has untrained weights, which were not allowed.
            ProviderUnavailable: the device cannot be had.
            MissingDependency: ONNX Runtime is not installed.
            InferenceError: no thread can be had.
        """
        artifact, _ = await self._selection.ask()
        return cache_fingerprint(artifact)

    def has(self, fingerprint: str) -> bool:
        """Whether it is this model's still; a turn to another device may change the precision."""
        found = self._selection.result
        return found is not None and cache_fingerprint(found[0]) == fingerprint

    async def encode(self, items: Sequence[Item], *, of: int | None = None) -> Vectors:
        """Vectors (n, dimension) float32, in the order of the items.

        Args:
            items: at least one.
            of: how many are to be encoded in all, these included; just these where None. One is
                a request, which goes first; more than a batch are bulk work.

        Raises:
            ServiceClosed: after `close()`.
            Others: as `fingerprint()` and `Session.load`; InferenceError where ONNX Runtime
                failed.
        """
        total = of or len(items)
        if total > self._batch and await self._on_cpu():
            return await self._bulk.encode(items)
        return await self._worker.encode(items, bulk=total > 1)

    async def bulk_batches_at_once(self) -> int:
        """How many batches of bulk work are encoded at the same time."""
        return self._settings.cpus if await self._on_cpu() else 1

    @property
    def loaded(self) -> LoadedModel | None:
        """What was loaded; None before the first call, and after `close()`."""
        return self._loaded

    def close(self) -> None:
        """Free the model and end its threads."""
        self._worker.close()
        self._bulk.close()
        self._encoders.clear()
        self._loaded = None

    async def _on_cpu(self) -> bool:
        _, choice = await self._selection.ask()
        return choice.device == "cpu"

    def _select(self) -> Selection:
        settings = self._settings
        store = ArtifactStore(settings.models_dir)
        artifact, choice = select(
            self.model, store, settings.device, settings.precision, self._failed
        )
        if artifact.manifest.weights == "untrained" and not settings.allow_untrained:
            raise UntrainedModel(
                f"{artifact.folder} has seeded, untrained weights: its vectors mean nothing. "
                f"Export trained ones ({artifact.remedy} --source FOLDER), or pass "
                "allow_untrained=True."
            )
        return artifact, replace(choice, gpu_memory_limit_mb=settings.gpu_memory_limit_mb)

    def _load_for_requests(self) -> Cut[Item]:
        # On the worker's thread; the threads of the session that it makes inherit this.
        lower_priority(self._settings.nice)
        return self._load(self._settings.cpus).batches

    def _load(self, threads: int) -> Encoder[Item]:
        with self._loading:
            if threads not in self._encoders:
                self._encoders[threads] = self._load_anew(threads)
            return self._encoders[threads]

    def _load_anew(self, threads: int) -> Encoder[Item]:
        """On the device that was chosen, or on what `auto` turns to where that does not work."""
        while True:
            artifact, choice = self._selection.get()
            try:
                return self._load_on(artifact, choice, threads)
            except ProviderUnavailable as error:
                if self._settings.device != "auto":
                    raise
                logger.warning("Using %s instead: %s", _NEXT[choice.device], error)
                self._failed.add(choice.device)
                self._selection.forget()

    def _load_on(self, artifact: Artifact, choice: ProviderChoice, threads: int) -> Encoder[Item]:
        try:
            encoder = self._load_encoder(artifact, choice, threads)
        except ArtifactDamaged as error:
            if not self._encoders:
                self._selection.forget()  # the next call finds what was made anew meanwhile
                raise
            # One lane must not serve two models.
            logger.warning("Going on with what is loaded, whose files have changed: %s", error)
            return next(iter(self._encoders.values()))
        manifest = artifact.manifest
        self._loaded = LoadedModel(
            manifest.model, manifest.precision, choice.device, encoder.session.placement()
        )
        weights = "" if manifest.weights == "trained" else "UNTRAINED "
        logger.info(
            "Loaded %s%s on %s, threads: %d", weights, manifest.fingerprint, choice.device, threads
        )
        return encoder


def text_lane(model: Model, settings: LaneSettings) -> Lane[str]:
    """The lane of a text model."""
    return Lane(model, settings, TextEncoder.load, batch=TEXT_BATCH, size=len)


def image_lane(model: Model, settings: LaneSettings) -> Lane[NDArray[np.uint8]]:
    """The lane of an image model; its items are pixels (224, 224, 3) from `preprocess`."""
    return Lane(model, settings, ImageEncoder.load, batch=IMAGE_BATCH)
