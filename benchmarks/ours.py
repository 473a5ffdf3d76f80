"""The library's service as a contender."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.config import EmbeddingConfig
from vla_embeddings.latency import Embed, embed_one, seconds_of_calls, service_of
from vla_embeddings.models import Artifact, Kind
from vla_embeddings.service import EmbeddingService

Vectors = NDArray[np.float32]
EmbedMany = Callable[[Sequence[Any]], Awaitable[Vectors]]


@dataclass(frozen=True, slots=True)
class Ours:
    """One artefact behind the service's public methods; a part is one call."""

    name: str
    inputs: Sequence[Any]
    _embed: EmbedMany
    _runner: asyncio.Runner

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        """Wall seconds of one call for each part."""
        return self._runner.run(seconds_of_calls(self._embed, [self.inputs[p] for p in parts]))

    def vectors(self, part: slice) -> Vectors:
        """(n, dimension) float32."""

        async def embed() -> Vectors:
            return await self._embed(self.inputs[part])

        return self._runner.run(embed())


@contextmanager
def serve(
    artifact: Artifact, inputs: Sequence[Any], config: EmbeddingConfig, *, batch: bool
) -> Iterator[Ours]:
    """The service of an artefact on the CPU, in one-by-one calls or in batch calls."""
    kind = artifact.manifest.kind
    service = service_of(artifact, "cpu", config)
    embed = _batch(service, kind) if batch else _one_by_one(embed_one(service, kind))
    with asyncio.Runner() as runner:
        try:
            yield Ours(f"ours {artifact.manifest.precision}", inputs, embed, runner)
        finally:
            service.cleanup()


def _one_by_one(embed: Embed) -> EmbedMany:
    async def many(inputs: Sequence[Any]) -> Vectors:
        if len(inputs) == 1:
            return (await embed(inputs[0]))[None]
        return np.stack([await embed(item) for item in inputs])

    return many


def _batch(service: EmbeddingService, kind: Kind) -> EmbedMany:
    async def texts(inputs: Sequence[Any]) -> Vectors:
        return (await service.batch_generate_embeddings(texts=inputs))["text_embeddings"]

    async def images(inputs: Sequence[Any]) -> Vectors:
        return (await service.batch_generate_embeddings(images=inputs))["image_embeddings"]

    return images if kind == "image" else texts
