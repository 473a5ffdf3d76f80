"""Similarity search in PostgreSQL with pgvector, on any table with a vector column."""

from vla_embeddings.search.building import BuildProgress
from vla_embeddings.search.catalog import VectorIndex
from vla_embeddings.search.database import Database
from vla_embeddings.search.indexes import (
    create_hnsw_index,
    create_ivfflat_index,
    drop_index,
    list_indexes,
)
from vla_embeddings.search.recall import RecallPoint, measure_recall
from vla_embeddings.search.schema import create_schema
from vla_embeddings.search.similar import find_similar_images, find_similar_instructions
from vla_embeddings.search.similarity import (
    cosine_similarity_search,
    euclidean_distance_search,
    inner_product_search,
)
from vla_embeddings.search.writes import (
    batch_index_embeddings,
    index_embedding,
    insert_embeddings,
)

__all__ = [
    "BuildProgress",
    "Database",
    "RecallPoint",
    "VectorIndex",
    "batch_index_embeddings",
    "cosine_similarity_search",
    "create_hnsw_index",
    "create_ivfflat_index",
    "create_schema",
    "drop_index",
    "euclidean_distance_search",
    "find_similar_images",
    "find_similar_instructions",
    "index_embedding",
    "inner_product_search",
    "insert_embeddings",
    "list_indexes",
    "measure_recall",
]
