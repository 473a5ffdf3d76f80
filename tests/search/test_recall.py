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


async def test_queries_and_efforts_may_be_generators(library: Database) -> None:
    queries = iter(unit_vectors(3, seed=4))

    points = await measure_recall(
        library, TABLE, COLUMN, efforts=(effort for effort in (10, 1000)), queries=queries
    )

    assert [point.effort for point in points] == [10, 1000]


async def test_rows_of_zero_length_are_neither_queries_nor_missed(db: Database) -> None:
    await db.pool.execute(
        "CREATE TABLE t (id int PRIMARY KEY, e vector(2), h halfvec(2));"
        "INSERT INTO t SELECT n, ARRAY[n, 1]::vector, ARRAY[n, 1]::halfvec "
        "FROM generate_series(1, 5) n;"
        "INSERT INTO t SELECT n, '[0,0]', '[0,0]' FROM generate_series(6, 40) n"
    )
    for column in ("e", "h"):
        await create_hnsw_index(db, "t", column)
        [point] = await measure_recall(db, "t", column, efforts=[100], sample=40)

        assert point.recall == 1.0


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
    for argument in ("queries", "efforts"):
        with pytest.raises(InvalidInput, match=f"{argument} must be a list; got 5"):
            await measure_recall(db, TABLE, COLUMN, **{argument: 5})  # type: ignore[arg-type]  # wrong on purpose
