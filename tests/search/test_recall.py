"""Recall is measured against the truth, with the settings a search would use."""

import numpy as np
import pytest

from tests.search.conftest import COLUMN, TABLE, Vectors, unit_vectors
from vla_embeddings.errors import DimensionMismatch, InvalidInput, SearchError
from vla_embeddings.search import (
    Database,
    create_hnsw_index,
    create_ivfflat_index,
    measure_recall,
)


async def test_recall_grows_with_the_effort_and_reaches_all(library: Database) -> None:

    points = await measure_recall(
        library, TABLE, COLUMN, efforts=(1, 1000), queries=unit_vectors(20, seed=4)
    )

    assert [(point.method, point.effort) for point in points] == [("hnsw", 1), ("hnsw", 1000)]
    assert points[0].recall <= points[1].recall
    assert points[1].recall == pytest.approx(1.0, abs=0.01)
    assert all(point.p50_ms > 0 and point.exact_p50_ms > 0 for point in points)


async def test_rows_of_the_table_are_the_queries_where_none_are_given(
    db: Database, filled: Vectors
) -> None:
    await create_ivfflat_index(db, TABLE, COLUMN, lists=10, distance_metric="euclidean")

    points = await measure_recall(
        db, TABLE, COLUMN, distance_metric="euclidean", efforts=[10], sample=10
    )

    assert points[0].method == "ivfflat"
    assert points[0].recall == pytest.approx(1.0)


async def test_what_cannot_be_measured_is_said(db: Database) -> None:
    with pytest.raises(SearchError, match="holds no vectors"):
        await measure_recall(db, TABLE, COLUMN)
    with pytest.raises(SearchError, match="no valid index for the cosine distance"):
        await measure_recall(db, TABLE, COLUMN, queries=unit_vectors(1))
    with pytest.raises(InvalidInput, match="sample must be"):
        await measure_recall(db, TABLE, COLUMN, sample=0)
    with pytest.raises(DimensionMismatch, match=r"queries\[0\]"):
        await measure_recall(db, TABLE, COLUMN, queries=np.ones((1, 3)))
    await create_hnsw_index(db, TABLE, COLUMN)
    with pytest.raises(InvalidInput, match="ef_search must be"):
        await measure_recall(db, TABLE, COLUMN, queries=unit_vectors(1), efforts=[0])
    with pytest.raises(SearchError, match="holds no vectors"):
        await measure_recall(db, TABLE, COLUMN, queries=unit_vectors(1))
    with pytest.raises(InvalidInput, match="at least one vector"):
        await measure_recall(db, TABLE, COLUMN, queries=[])
