"""The vectors, the rows and the sizes of a run."""

import gzip
import json
from dataclasses import dataclass

import asyncpg
import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from benchmarks.inputs import DATA
from benchmarks.machine import REPOSITORY
from vla_embeddings import EmbeddingService
from vla_embeddings.config import embedding_config
from vla_embeddings.export import ensure_exported
from vla_embeddings.models import MINILM, ArtifactStore
from vla_embeddings.samples import make_instructions
from vla_embeddings.search import Database

ARTIFACTS = REPOSITORY / ".artifacts"
TOP_K = 10
BUCKETS = 1000  # rows of one bucket are 0.1 % of all

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    texts: int
    queries: int
    written: int
    write_turns: int
    builds: int
    peer_rows: int
    peer_turns: int


FULL = Size(50_000, 200, 20_000, 11, 3, 4000, 5)
QUICK = Size(3000, 30, 1000, 3, 1, 200, 2)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Texts with their unit vectors (n, 384), and the vectors of other texts to ask for."""

    texts: list[str]
    vectors: Vectors
    queries: Vectors
    origin: str
    weights: str

    def rows(self, count: int) -> list[dict[str, object]]:
        """The first `count` as rows of the table."""
        return [
            {"instruction": text, "bucket": number % BUCKETS, "embedding": vector}
            for number, (text, vector) in enumerate(
                zip(self.texts[:count], self.vectors, strict=False)
            )
        ]


@dataclass(frozen=True, slots=True)
class Bench:
    """What every work is given; `raw` has pgvector's codec, as its README advises."""

    size: Size
    inputs: Inputs
    dsn: str
    db: Database
    raw: asyncpg.Connection


# --- Inputs ---------------------------------------------------------------------------------


async def load_inputs(size: Size, progress: Progress) -> Inputs:
    """Embed the texts, or read what an earlier run embedded."""
    texts, origin = _texts(size.texts)
    store = ArtifactStore(embedding_config.models_dir)
    ensure_exported(MINILM, ["fp32"], store)
    manifest = store.open(MINILM, "fp32").manifest
    graph = next(each.sha256 for name, each in manifest.files.items() if name.endswith(".onnx"))
    file = ARTIFACTS / "bench-search" / f"{origin.split()[0]}-{len(texts)}-{graph[:16]}.npy"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, await _embedded(texts, progress))
    vectors = np.load(file)
    held = len(texts) - size.queries
    return Inputs(texts[:held], vectors[:held], vectors[held:], origin, manifest.weights)


def _texts(count: int) -> tuple[list[str], str]:
    if not DATA.is_dir():
        return make_instructions(count), "generated instructions"
    with gzip.open(DATA / "instructions.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [str(json.loads(line)["text"]) for line in file]
    order = np.random.default_rng(0).permutation(len(texts))[:count]
    return [texts[place] for place in order], "real robot instructions"


async def _embedded(texts: list[str], progress: Progress) -> Vectors:
    config = embedding_config.model_copy(update={"precision": "fp32"})
    task, parts = progress.add_task("embedding the texts", total=len(texts)), []
    async with EmbeddingService(device="cpu", config=config) as service:
        for start in range(0, len(texts), 1000):
            chunk = texts[start : start + 1000]
            parts.append((await service.batch_generate_embeddings(chunk))["text_embeddings"])
            progress.advance(task, len(chunk))
    progress.remove_task(task)
    return np.concatenate(parts)


# --- Measuring ------------------------------------------------------------------------------
