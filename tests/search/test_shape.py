"""The remembered SQL of a search follows the catalog."""

import numpy as np
import pytest

from tests.search.conftest import COLUMN, TABLE, rows_of, unit_vectors
from vla_embeddings.search import (
    Database,
    cosine_similarity_search,
    create_hnsw_index,
    create_schema,
    drop_index,
    insert_embeddings,
    list_indexes,
)
from vla_embeddings.search.catalog import resolve
from vla_embeddings.search.metric import COSINE
from vla_embeddings.search.statement import Nearest

VECTORS = unit_vectors(200)


async def _sql(db: Database) -> str:
    async with db.pool.acquire() as connection:
        table = await resolve(connection, TABLE)
        column = table.vector_column(COLUMN)
        nearest = Nearest(table, column, COSINE, VECTORS[0].tolist(), 10, None, columns=())
        return nearest.indexed()[0]


async def test_a_new_index_changes_it(db: Database) -> None:
    await create_schema(db)
    await insert_embeddings(db, TABLE, COLUMN, rows_of(VECTORS))
    await create_hnsw_index(db, TABLE, COLUMN, half=True)
    half = await _sql(db)
    assert await _sql(db) is half

    [index] = await list_indexes(db, TABLE)
    await drop_index(db, index.name)
    await create_hnsw_index(db, TABLE, COLUMN)
    whole = await _sql(db)

    assert ("halfvec" in half, "halfvec" in whole) == (True, False)


async def test_numpy_set_to_raise_does_not_reach_into_a_search(db: Database) -> None:
    """Numbers beyond float32 are an error of ours, and tiny ones none."""
    await create_schema(db)
    await insert_embeddings(db, TABLE, COLUMN, rows_of(VECTORS))
    query = VECTORS[0].astype(np.float64)
    query[0] = 1e-310

    with np.errstate(all="raise"):
        rows = await cosine_similarity_search(db, TABLE, COLUMN, query, top_k=5, threshold=-1.0)
        with pytest.raises(ValueError, match="too large"):
            await cosine_similarity_search(db, TABLE, COLUMN, query + 1e300)

    assert len(rows) == 5
