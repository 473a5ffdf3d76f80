"""The library's service as a contender."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import Bench
from vla_embeddings.latency import embed_one, seconds_of_calls
from vla_embeddings.models import Artifact, Kind
from vla_embeddings.service import EmbeddingService

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ours:
    """One artefact behind the service's public methods; a part is one call.

    A part of one input is a call of the method for one, a longer one a batch call.
    """

    name: str
    inputs: Sequence[Any]
    _kind: Kind
    _service: EmbeddingService
    _runner: asyncio.Runner

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        """Wall seconds of one call for each part."""
        return self._runner.run(seconds_of_calls(self._embed, [self.inputs[p] for p in parts]))

    def vectors(self, part: slice) -> Vectors:
        """(n, dimension) float32, by a batch call."""
        return self._runner.run(self._batch(self.inputs[part]))

    async def _embed(self, inputs: Sequence[Any]) -> None:
        if len(inputs) == 1:
            await embed_one(self._service, self._kind)(inputs[0])
        else:
            await self._batch(inputs)

    async def _batch(self, inputs: Sequence[Any]) -> Vectors:
        if self._kind == "image":
            return (await self._service.batch_generate_embeddings(images=inputs))[
                "image_embeddings"
            ]
        return (await self._service.batch_generate_embeddings(inputs))["text_embeddings"]


@contextmanager
def serve(artifact: Artifact, inputs: Sequence[Any], bench: Bench) -> Iterator[Ours]:
    """The service of an artefact, with the inputs that its parts refer to."""
    service, name = bench.service(artifact), bench.name_of(artifact.manifest.precision)
    with asyncio.Runner() as runner:
        try:
            yield Ours(name, inputs, artifact.manifest.kind, service, runner)
        finally:
            service.cleanup()
