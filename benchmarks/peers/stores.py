"""How each library that stores vectors does it, set up as its own documentation recommends.

Runs in the peers' virtual environment; imported by name, as in `benchmarks.peers.texts`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIMENSION = 384
TOP_K = 10
EF_SEARCH = 100
TTL = 600
"""Seconds that a cache keeps an entry."""

Steps = Mapping[str, Callable[[int], object]]
"""What can be asked of it, by name; each takes the number of a query. `search` returns the numbers
of the vectors that it found."""


@dataclass(frozen=True, slots=True)
class StoreInputs:
    """Rows to store, and vectors to ask for."""

    texts: list[str]
    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]

    @classmethod
    def read(cls, folder: Path) -> "StoreInputs":
        """Those that `write` left."""
        texts = json.loads((folder / "texts.json").read_text())
        return cls(texts, np.load(folder / "vectors.npy"), np.load(folder / "queries.npy"))

    def write(self, folder: Path) -> None:
        """Leave them for a worker."""
        (folder / "texts.json").write_text(json.dumps(self.texts))
        np.save(folder / "vectors.npy", self.vectors)
        np.save(folder / "queries.npy", self.queries)


def vecs(url: str, inputs: StoreInputs) -> Steps:
    """Supabase's vecs, with psycopg2: `reset`, `insert`, `index`, `search`."""
    library = import_module("vecs")
    client = library.create_client(url.replace("postgresql:", "postgresql+psycopg2:", 1))
    vectors = inputs.vectors.tolist()
    records = [
        (str(number), vector, {"text": text})
        for number, (text, vector) in enumerate(zip(inputs.texts, vectors, strict=True))
    ]

    def collection() -> Any:
        return client.get_or_create_collection(name="benchmark", dimension=DIMENSION)

    def reset(_: int) -> None:
        client.delete_collection("benchmark")
        collection()

    def index(_: int) -> None:
        collection().create_index(
            method=library.IndexMethod.hnsw,
            measure=library.IndexMeasure.cosine_distance,
            index_arguments=library.IndexArgsHNSW(m=16, ef_construction=64),
        )

    docs = collection()

    def search(number: int) -> list[int]:
        found = docs.query(
            inputs.queries[number],
            limit=TOP_K,
            include_value=True,
            include_metadata=True,
            ef_search=EF_SEARCH,
        )
        return [int(each[0]) for each in found]

    return {
        "reset": reset,
        "insert": lambda _: docs.upsert(records),
        "index": index,
        "search": search,
    }


def langchain_postgres(url: str, inputs: StoreInputs) -> Steps:
    """langchain-postgres' PGVectorStore: `reset`, `insert`, `index`, `search`."""
    library = import_module("langchain_postgres")
    indexes = import_module("langchain_postgres.v2.indexes")
    embedding = import_module("langchain_core.embeddings").DeterministicFakeEmbedding(
        size=DIMENSION
    )
    engine = library.PGEngine.from_connection_string(
        url.replace("postgresql:", "postgresql+asyncpg:", 1)
    )
    vectors, table = inputs.vectors.tolist(), "langchain_benchmark"

    def reset(_: int) -> None:
        engine.init_vectorstore_table(table, DIMENSION, overwrite_existing=True)

    reset(0)
    numbers = {text: number for number, text in enumerate(inputs.texts)}
    options = indexes.HNSWQueryOptions(ef_search=EF_SEARCH)
    store = library.PGVectorStore.create_sync(
        engine, embedding, table, index_query_options=options
    )

    def search(number: int) -> list[int]:
        query = inputs.queries[number].tolist()
        found = store.similarity_search_with_score_by_vector(query, k=TOP_K)
        return [numbers[document.page_content] for document, _ in found]

    return {
        "reset": reset,
        "insert": lambda _: store.add_embeddings(inputs.texts, vectors),
        "index": lambda _: store.apply_vector_index(indexes.HNSWIndex(m=16, ef_construction=64)),
        "search": search,
    }


def redisvl(url: str, inputs: StoreInputs) -> Steps:
    """RedisVL's EmbeddingsCache: `store` and `find` all vectors."""
    module = import_module("redisvl.extensions.cache.embeddings")
    # A lifetime given here would be renewed by each entry that is found, one round trip each.
    cache = module.EmbeddingsCache(name="benchmark", redis_url=url)
    items = [
        {"content": text, "model_name": "model", "embedding": vector}
        for text, vector in zip(inputs.texts, inputs.vectors.tolist(), strict=True)
    ]

    def find(_: int) -> None:
        found = cache.mget(contents=inputs.texts, model_name="model")
        if not all(item and item["embedding"] for item in found):
            raise RuntimeError("a stored vector was not found")

    return {"store": lambda _: cache.mset(items, ttl=TTL), "find": find}


@dataclass(frozen=True, slots=True)
class StoreAdapter:
    """How to start a store on a server, and the packages that do its work."""

    start: Callable[[str, StoreInputs], Steps]
    on: tuple[str, ...]


STORES: Mapping[str, StoreAdapter] = {
    "vecs": StoreAdapter(vecs, ("psycopg2-binary", "SQLAlchemy", "pgvector")),
    "langchain-postgres": StoreAdapter(langchain_postgres, ("asyncpg", "SQLAlchemy", "pgvector")),
    "redisvl": StoreAdapter(redisvl, ("redis", "hiredis")),
}
"""By the name of the package."""
