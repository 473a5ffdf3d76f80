"""Nearest-neighbour search over any table with a vector column."""

import math
from collections.abc import Sequence
from numbers import Real

from vla_embeddings.config import embedding_config
from vla_embeddings.errors import InvalidInput
from vla_embeddings.search.engine import Row, SearchRequest, search
from vla_embeddings.search.filters import Filters
from vla_embeddings.search.handles import Handle
from vla_embeddings.search.metric import COSINE, EUCLIDEAN, INNER_PRODUCT
from vla_embeddings.search.vectors import Vector


async def cosine_similarity_search(
    db: Handle,
    table: str,
    embedding_column: str,
    query_embedding: Vector,
    top_k: int | None = None,
    threshold: float | None = None,
    filters: Filters | None = None,
    *,
    columns: Sequence[str] | None = None,
    exact: bool = False,
    ef_search: int | None = None,
    probes: int | None = None,
    fingerprint: str | None = None,
) -> list[Row]:
    """The rows most similar to `query_embedding`; `similarity` is 1 - cosine distance.

    The `top_k` nearest of the rows that match `filters`, without those below `threshold`. With
    `threshold=-1.0` the list is complete: min(`top_k`, rows that match) rows come back, as the
    search is repeated without the index where that cannot fill the list. Which rows are the
    nearest, an index finds with its recall: it may miss a row, one that reaches the threshold
    too. `exact=True` misses none. Order: similarity, then primary key; of more
    equals than there is room for, an index gives any. Rows whose vector is NULL or of zero length
    are left out, and so is a column of the table that is itself called `similarity`.

    Args:
        db: a `Database`, an asyncpg Pool or Connection, or a SQLAlchemy AsyncEngine,
            AsyncConnection or AsyncSession; an open transaction is joined.
        query_embedding: array or sequence of shape (d,), d as in the column.
        top_k: rows at most, 1 to 10,000; by default `embedding_config.similarity_top_k`.
        threshold: least similarity, -1 to 1; by default `embedding_config.similarity_threshold`.
        filters: `{column: value | list | None | {operator: value}}`, see `filters.Filters`.
        columns: what each row holds besides the score, whose name none of them may have; by
            default every column that holds no vector. A vector column named here comes as a
            float32 array.
        exact: compare every row instead of asking an index.
        ef_search: candidates an HNSW index keeps, 1 to 1,000; by default twice `top_k`, at
            least 200.
        probes: lists an IVFFlat index reads; by default the square root of how many it has.
        fingerprint: what made the query; a column filled by another model is then refused.

    Returns:
        One dict a row: its columns and `similarity`.

    Raises:
        UnknownName: a table or column that does not exist.
        DimensionMismatch, InvalidInput: a vector, filter or number that cannot be used.
        SearchError: the server cannot do it, or the column holds another model's vectors.
        DatabaseUnavailable: the server cannot be reached, or the connection was lost.
    """
    limit = embedding_config.similarity_threshold if threshold is None else threshold
    if not isinstance(limit, Real) or not -1.0 <= limit <= 1.0:
        raise InvalidInput(f"threshold must be a similarity from -1 to 1; got {threshold!r}.")
    return await search(
        db,
        SearchRequest(
            table=table,
            embedding_column=embedding_column,
            query_embedding=query_embedding,
            metric=COSINE,
            top_k=top_k,
            limit=limit,
            filters=filters,
            columns=columns,
            exact=exact,
            ef_search=ef_search,
            probes=probes,
            fingerprint=fingerprint,
        ),
    )


async def euclidean_distance_search(
    db: Handle,
    table: str,
    embedding_column: str,
    query_embedding: Vector,
    top_k: int | None = None,
    max_distance: float | None = None,
    filters: Filters | None = None,
    *,
    columns: Sequence[str] | None = None,
    exact: bool = False,
    ef_search: int | None = None,
    probes: int | None = None,
    fingerprint: str | None = None,
) -> list[Row]:
    """The rows nearest to `query_embedding` by Euclidean distance, in `distance`.

    As `cosine_similarity_search`, but for `max_distance`: the largest distance to return, by
    default any, and the list is then complete.
    """
    limit = math.inf if max_distance is None else max_distance
    if not isinstance(limit, Real) or not limit >= 0:
        raise InvalidInput(f"max_distance must be 0 or more; got {max_distance!r}.")
    return await search(
        db,
        SearchRequest(
            table=table,
            embedding_column=embedding_column,
            query_embedding=query_embedding,
            metric=EUCLIDEAN,
            top_k=top_k,
            limit=limit,
            filters=filters,
            columns=columns,
            exact=exact,
            ef_search=ef_search,
            probes=probes,
            fingerprint=fingerprint,
        ),
    )


async def inner_product_search(
    db: Handle,
    table: str,
    embedding_column: str,
    query_embedding: Vector,
    top_k: int | None = None,
    min_product: float | None = None,
    filters: Filters | None = None,
    *,
    columns: Sequence[str] | None = None,
    exact: bool = False,
    ef_search: int | None = None,
    probes: int | None = None,
    fingerprint: str | None = None,
) -> list[Row]:
    """The rows with the largest inner product with `query_embedding`, in `inner_product`.

    As `cosine_similarity_search`, but for `min_product`: the least product to return, by
    default any, and the list is then complete. For unit vectors it equals the cosine similarity
    and is cheaper to compute.
    """
    limit = -math.inf if min_product is None else min_product
    if not isinstance(limit, Real) or math.isnan(limit):
        raise InvalidInput(f"min_product must be a number; got {min_product!r}.")
    return await search(
        db,
        SearchRequest(
            table=table,
            embedding_column=embedding_column,
            query_embedding=query_embedding,
            metric=INNER_PRODUCT,
            top_k=top_k,
            limit=limit,
            filters=filters,
            columns=columns,
            exact=exact,
            ef_search=ef_search,
            probes=probes,
            fingerprint=fingerprint,
        ),
    )
