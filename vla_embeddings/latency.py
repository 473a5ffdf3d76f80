"""How long one embedding takes on this machine, through the service's own methods."""

import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.config import Device, EmbeddingConfig, PrecisionSetting
from vla_embeddings.errors import ArtifactDamaged, EmbeddingError, ModelNotFound
from vla_embeddings.models import (
    PRECISIONS,
    Artifact,
    ArtifactStore,
    Kind,
    Precision,
    find_model,
)
from vla_embeddings.runtime import choose_providers, select
from vla_embeddings.runtime.tokens import Tokenizer
from vla_embeddings.samples import make_instructions, make_scenes
from vla_embeddings.service import EmbeddingService

TOKENS = 12
"""Length of the instructions timed, special tokens included; robot instructions have 14.5 in the
mean."""

KINDS: tuple[Kind, ...] = ("text", "image")
"""The document's table has these."""

CALLS: Mapping[Kind, int] = {"text": 300, "image": 60}
WARM_UP = 10

CPU_MS: Mapping[Kind, float] = {"text": 15, "image": 50}
"""Milliseconds of one embedding on a CPU in the platform's own document."""
GPU_MS: Mapping[Kind, float] = {"text": 3, "image": 8}
"""Likewise on a GPU."""

Embed = Callable[[Any], Awaitable[NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Case:
    """One model in one precision on one device."""

    model: str
    kind: Kind
    weights: Literal["trained", "untrained"]
    dimension: int
    precision: Precision
    device: Device

    @classmethod
    def of(cls, artifact: Artifact, device: Device, **found: Any) -> Self:
        """An artefact's, with what was found of it: the fields that a row has besides."""
        manifest = artifact.manifest
        return cls(
            model=manifest.model,
            kind=manifest.kind,
            weights=manifest.weights,
            dimension=manifest.dimension,
            precision=manifest.precision,
            device=device,
            **found,
        )


@dataclass(frozen=True, slots=True)
class Latency(Case):
    """One row of the document's table."""

    p50_ms: float
    p90_ms: float
    document_ms: float


@dataclass(frozen=True, slots=True)
class Unmeasured(Case):
    """A row that cannot be measured."""

    error: str
    """Why, and what to do about it."""


RUNS_IN: Mapping[Device, tuple[Precision, ...]] = {
    "cpu": PRECISIONS,
    "cuda": ("fp32", "fp16"),
    "tensorrt": ("fp16-tensorrt",),
}
"""The precisions that each device is meant for."""


def document_ms(kind: Kind, device: Device) -> float:
    """Milliseconds of one embedding in the platform's own document."""
    return (CPU_MS if device == "cpu" else GPU_MS)[kind]


def installed(config: EmbeddingConfig, precisions: Sequence[Precision]) -> list[Artifact]:
    """The exported instruction and image models, each in those of the precisions that are there.

    Raises:
        ModelNotFound: there is none.
    """
    store = ArtifactStore(config.models_dir)
    models = [find_model(config.name_of_model(kind), kind) for kind in KINDS]
    found = [
        store.open(model, precision)
        for model in models
        for precision in precisions
        if (store.root / model.name / precision).is_dir()
    ]
    if not found:
        raise ModelNotFound(
            f"No model exported in {' or '.join(precisions)} in {store.root}. "
            "Make one: vla-embeddings export"
        )
    return found


def setting_of(artifact: Artifact) -> PrecisionSetting:
    """The setting `precision` with which a service takes this artefact."""
    precision = artifact.manifest.precision
    return "fp16" if precision == "fp16-tensorrt" else precision


def service_of(artifact: Artifact, device: Device, config: EmbeddingConfig) -> EmbeddingService:
    """A service without a cache that serves this artefact on this device."""
    settings = config.model_copy(update={"precision": setting_of(artifact)})
    return EmbeddingService(device=device, config=settings, allow_untrained=True)


def embed_one(service: EmbeddingService, kind: Kind) -> Embed:
    """The public method for one input, past the cache."""
    if kind == "image":
        return lambda image: service.get_image_embedding(image, use_cache=False)
    return lambda text: service.get_instruction_embedding(text, use_cache=False)


async def seconds_of_calls(
    embed: Callable[[Any], Awaitable[object]], inputs: Sequence[Any]
) -> list[float]:
    """Wall seconds of one call for each input, one after the other."""
    seconds = []
    for item in inputs:
        start = time.perf_counter()
        await embed(item)
        seconds.append(time.perf_counter() - start)
    return seconds


def of_length(texts: Sequence[str], artifact: Artifact) -> list[str]:
    """Those of the texts that have `TOKENS` tokens."""
    tokens = Tokenizer(artifact).encode(texts)
    return [text for text, ids in zip(texts, tokens, strict=True) if len(ids) == TOKENS]


def camera_jpeg() -> bytes:
    """A drawn scene as a 640x480 JPEG of the quality usual for cameras."""
    file = io.BytesIO()
    make_scenes(1)[0].image.save(file, "JPEG", quality=90)
    return file.getvalue()


async def measure(
    artifact: Artifact, device: Device, config: EmbeddingConfig, *, calls: int | None = None
) -> Latency:
    """Time one model in one precision, warm, one call at a time.

    Args:
        artifact: the model.
        device: where it runs.
        config: all other settings.
        calls: how many; `CALLS` of its kind where None.

    Raises:
        ProviderUnavailable: the device cannot be had; see `EmbeddingService` for the rest.
    """
    manifest = artifact.manifest
    timed = CALLS[manifest.kind] if calls is None else calls
    inputs: Sequence[str | bytes] = (
        [camera_jpeg()]
        if manifest.kind == "image"
        else of_length(make_instructions(2000), artifact)
    )
    repeated = [inputs[call % len(inputs)] for call in range(timed + WARM_UP)]
    async with service_of(artifact, device, config) as service:
        seconds = await seconds_of_calls(embed_one(service, manifest.kind), repeated)
    p50, p90 = 1000 * np.percentile(seconds[WARM_UP:], (50, 90))
    return Latency.of(
        artifact,
        device,
        p50_ms=float(p50),
        p90_ms=float(p90),
        document_ms=document_ms(manifest.kind, device),
    )


async def measure_all(
    config: EmbeddingConfig, began: Callable[[str], None]
) -> AsyncIterator[Latency | Unmeasured]:
    """Each exported model on the CPU, and on what a service runs it on where that is a GPU.

    Where `auto` means a device that does not come up, also on the one that it turns to.

    Args:
        config: all settings.
        began: told what is measured next.

    Raises:
        ModelNotFound: none is exported.
        ProviderUnavailable: the device is not `auto` and cannot be had.
    """

    async def row(artifact: Artifact, device: Device) -> Latency | Unmeasured:
        manifest = artifact.manifest
        began(f"{manifest.model} {manifest.precision} on {device}")
        try:
            return await measure(artifact, device, config)
        except EmbeddingError as error:
            return Unmeasured.of(artifact, device, error=str(error))

    choose_providers(config.device)  # before minutes go by
    for artifact in installed(config, RUNS_IN["cpu"]):
        yield await row(artifact, "cpu")
    for kind in KINDS:
        failed: set[Device] = set()
        while (device := _device_of(kind, config, failed)) != "cpu":
            rows = [await row(artifact, device) for artifact in _exported(kind, device, config)]
            for each in rows:
                yield each
            if config.device != "auto" or any(isinstance(each, Latency) for each in rows):
                break
            failed.add(device)


def _exported(kind: Kind, device: Device, config: EmbeddingConfig) -> list[Artifact]:
    try:
        found = installed(config, RUNS_IN[device])
    except (ModelNotFound, ArtifactDamaged):
        return []
    return [artifact for artifact in found if artifact.manifest.kind == kind]


def _device_of(kind: Kind, config: EmbeddingConfig, failed: Collection[Device]) -> Device:
    """What a service runs a model on, where some devices failed."""
    if config.device != "auto":
        return choose_providers(config.device).device
    model, store = find_model(config.name_of_model(kind), kind), ArtifactStore(config.models_dir)
    try:
        return select(model, store, "auto", config.precision, failed)[1].device
    except (ModelNotFound, ArtifactDamaged):  # what a service would take; others are measured
        return "cpu" if "cuda" in failed else choose_providers("auto").device
