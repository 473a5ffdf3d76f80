"""The vectors and rows of a run."""

from dataclasses import dataclass

import asyncpg
import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import Bench
from benchmarks.inputs import load_instructions
from benchmarks.limits.loopback import Loopback
from benchmarks.peers.environment import ARTIFACTS, PeerEnvironment
from benchmarks.search.size import SearchSize
from vla_embeddings import EmbeddingService
from vla_embeddings.models.writing import stage_in
from vla_embeddings.search import Database

TABLE = "search_benchmark"
TOP_K = 10
REPLY_BYTES = 1000  # ten rows of an id, an instruction, a bucket and a similarity
BUCKETS = 1000  # rows of one bucket are 0.1 % of all
CHUNK = 1000

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SearchInputs:
    """Texts with their unit vectors (n, 384), and the vectors of other texts to ask for."""

    texts: list[str]
    vectors: Vectors
    queries: Vectors
    origin: str
    """Of the texts."""

    def rows(self, count: int) -> list[dict[str, object]]:
        """The first `count` as rows of the table."""
        return [
            {"instruction": text, "bucket": number % BUCKETS, "embedding": vector}
            for number, (text, vector) in enumerate(
                zip(self.texts[:count], self.vectors, strict=False)
            )
        ]


@dataclass(frozen=True, slots=True)
class SearchBench:
    """What every work is given; `raw` has pgvector's codec, as its README advises."""

    size: SearchSize
    inputs: SearchInputs
    truths: list[Vectors]
    """For each query the cosines of the truly nearest, the highest first."""
    dsn: str
    db: Database
    raw: asyncpg.Connection
    echo: Loopback
    stores: PeerEnvironment | None


async def load_inputs(bench: Bench, size: SearchSize) -> SearchInputs:
    """Embed the texts, or read what an earlier run embedded."""
    texts, origin = load_instructions(size.texts)
    artifact = bench.fp32("text")
    digest = artifact.manifest.graph_sha256[:16]
    file = ARTIFACTS / "bench-search" / f"{origin}-{len(texts)}-{digest}.npy"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        vectors = await _embedded(texts, bench)
        with stage_in(file.parent) as stage:  # another run may read it meanwhile
            np.save(stage / file.name, vectors)
            (stage / file.name).replace(file)
    vectors = np.load(file)
    held = len(texts) - size.queries
    return SearchInputs(texts[:held], vectors[:held], vectors[held:], origin)


def nearest_similarities(vectors: Vectors, queries: Vectors) -> list[Vectors]:
    """For each query the cosines of the truly nearest, the highest first."""
    return [np.sort(vectors @ query)[::-1][:TOP_K] for query in queries]


async def _embedded(texts: list[str], bench: Bench) -> Vectors:
    config = bench.config.model_copy(update={"precision": "fp32"})
    advance, parts = bench.track("embedding the texts, once", len(texts)), []
    async with EmbeddingService(device="cpu", config=config) as service:
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            parts.append((await service.batch_generate_embeddings(chunk))["text_embeddings"])
            advance(len(chunk))
    return np.concatenate(parts)
