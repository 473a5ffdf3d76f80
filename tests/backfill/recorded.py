"""A service that embeds at once and keeps a record of it; also a worker process to be killed.

Run as a program, it backfills `instruction_analytics` at the first argument, a DSN, and appends
every text that it embeds to the file that the second names.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vla_embeddings import BatchEmbeddings, EmbeddingService
from vla_embeddings.backfill import backfill
from vla_embeddings.backfill.sources import PROBE
from vla_embeddings.errors import InvalidInput
from vla_embeddings.models import Kind
from vla_embeddings.runtime import ImageInput
from vla_embeddings.search import Database

SECONDS = 0.03
"""How long a block takes to embed: so that workers take turns, and kills hit every stage."""


def vector_of(text: str) -> NDArray[np.float32]:
    """A vector (384,) float32 that only this text has."""
    return np.tile(np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8), 12) + 1.0


class RecordedService(EmbeddingService):
    """Embeds texts with `vector_of`, and not before `go_on` is set, as it is at first.

    `record` hears each, and `started` is set by the first.
    """

    def __init__(self, record: list[str] | Path, *, model: str = "recorded") -> None:
        super().__init__()
        self._record = record
        self._model = model
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def fingerprint(self, kind: Kind) -> str:
        return self._model

    async def get_instruction_embedding(
        self, instruction: str, use_cache: bool = True
    ) -> NDArray[np.float32]:
        assert not use_cache
        if instruction == PROBE:
            return vector_of(instruction)
        return (await self._embed([instruction]))[0]

    async def batch_generate_embeddings(
        self,
        texts: Iterable[str] = (),
        images: Iterable[ImageInput] = (),
        use_cache: bool = True,
    ) -> BatchEmbeddings:
        assert not use_cache
        texts = list(texts)
        assert not list(images)
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise InvalidInput("One of the texts is blank.")
        vectors = np.stack(await self._embed(texts))
        return BatchEmbeddings(text_embeddings=vectors, image_embeddings=np.empty((0, 512), "f4"))

    async def _embed(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        if isinstance(self._record, list):
            self._record.extend(texts)
        else:
            with self._record.open("a") as file:
                file.writelines(f"{text}\n" for text in texts)
        self.started.set()
        await self.go_on.wait()
        await asyncio.sleep(SECONDS)
        return [vector_of(text) for text in texts]


class HaltingService(RecordedService):
    """Embeds no second block before there is a file `go` in `folder`, where its `record` is, too.

    Its process's id is the name of another.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "record")
        self._go = folder / "go"
        (folder / f"{os.getpid()}.pid").touch()

    async def _embed(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        first = not self.started.is_set()
        vectors = await super()._embed(texts)
        # Another process makes the file: there is no event to wait for.
        while not first and not self._go.exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return vectors


async def _work(dsn: str, record: str) -> None:
    async with RecordedService(Path(record)) as service, await Database.connect(dsn) as db:
        await backfill(
            db,
            service,
            table="instruction_analytics",
            source_column="instruction",
            embedding_column="instruction_embedding",
        )


if __name__ == "__main__":
    asyncio.run(_work(*sys.argv[1:]))
