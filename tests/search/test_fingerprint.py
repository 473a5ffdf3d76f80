"""A column remembers which model filled it, and refuses another's vectors."""

import asyncio
import uuid

import pytest

from tests.search.conftest import COLUMN, TABLE, Vectors, unit_vectors
from vla_embeddings.errors import InvalidInput, SearchError
from vla_embeddings.search import (
    Database,
    batch_index_embeddings,
    cosine_similarity_search,
    index_embedding,
    insert_embeddings,
)

ONES = unit_vectors(1)[0]
OURS, THEIRS = "all-MiniLM-L6-v2/fp32/53aa5117", "other model/int8/00000000"

COMMENT = "SELECT col_description($1::regclass, attnum) FROM pg_attribute WHERE attname = $2"


async def _comment(db: Database) -> str | None:
    comment: str | None = await db.pool.fetchval(COMMENT, TABLE, COLUMN)
    return comment


async def test_the_first_writer_marks_the_column_beside_its_comment(db: Database) -> None:
    await db.pool.execute(f"COMMENT ON COLUMN {TABLE}.{COLUMN} IS 'it''s \\ ours'")

    for _ in range(2):
        await insert_embeddings(db, TABLE, COLUMN, [{COLUMN: ONES}], fingerprint=OURS)

    assert await _comment(db) == f"it's \\ ours\nvla-embeddings: {OURS}"


async def test_another_models_vectors_are_neither_stored_nor_compared(db: Database) -> None:
    await insert_embeddings(db, TABLE, COLUMN, [{COLUMN: ONES}], fingerprint=OURS)
    items = [{"id": 1, "embedding": -ONES}]
    refused = (
        r"holds vectors of all-MiniLM.*with vectors of other model.*backfill --replace.*force"
    )

    with pytest.raises(SearchError, match=refused):
        await insert_embeddings(db, TABLE, COLUMN, [{COLUMN: ONES}], fingerprint=THEIRS)
    with pytest.raises(SearchError, match=refused):
        await batch_index_embeddings(db, TABLE, "id", COLUMN, items, fingerprint=THEIRS)
    with pytest.raises(SearchError, match=refused):
        await index_embedding(db, TABLE, "id", 1, COLUMN, -ONES, fingerprint=THEIRS)
    with pytest.raises(SearchError, match=refused):
        await cosine_similarity_search(db, TABLE, COLUMN, ONES, fingerprint=THEIRS)

    [row] = await cosine_similarity_search(db, TABLE, COLUMN, ONES, fingerprint=OURS)
    assert row["similarity"] == pytest.approx(1.0)


async def test_force_writes_all_the_same_and_moves_the_mark(db: Database) -> None:
    await insert_embeddings(db, TABLE, COLUMN, [{COLUMN: ONES}], fingerprint=OURS)

    assert await index_embedding(db, TABLE, "id", 1, COLUMN, ONES, fingerprint=THEIRS, force=True)
    assert await _comment(db) == f"vla-embeddings: {THEIRS}"
    assert await cosine_similarity_search(db, TABLE, COLUMN, ONES, fingerprint=THEIRS)


@pytest.mark.parametrize("rights", ["SELECT, UPDATE", f"SELECT, UPDATE ({COLUMN})"])
async def test_a_role_that_does_not_own_the_table_is_told_what_its_owner_runs_once(
    db: Database, filled: Vectors, dsn: str, rights: str
) -> None:
    role = f"writer_{uuid.uuid4().hex}"
    await db.pool.execute(f"CREATE ROLE {role} LOGIN; GRANT {rights} ON {TABLE} TO {role}")
    async with await Database.connect(dsn.replace("postgres@", f"{role}@")) as writer:
        with pytest.raises(SearchError, match="run once: COMMENT ON COLUMN") as refused:
            await index_embedding(writer, TABLE, "id", 1, COLUMN, ONES, fingerprint=OURS)
        await db.pool.execute(str(refused.value).partition("run once: ")[2])

        assert await index_embedding(writer, TABLE, "id", 1, COLUMN, ONES, fingerprint=OURS)
    await db.pool.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_of_two_first_writers_at_once_one_is_refused(db: Database, filled: Vectors) -> None:
    outcomes = await asyncio.gather(
        *(
            index_embedding(db, TABLE, "id", 1, COLUMN, ONES, fingerprint=fingerprint)
            for fingerprint in (OURS, THEIRS)
        ),
        return_exceptions=True,
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["SearchError", "bool"]


async def test_a_rolled_back_first_write_leaves_no_mark(db: Database) -> None:
    async with db.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await insert_embeddings(connection, TABLE, COLUMN, [{COLUMN: ONES}], fingerprint=OURS)
        await transaction.rollback()
        await insert_embeddings(connection, TABLE, COLUMN, [{COLUMN: ONES}], fingerprint=THEIRS)

    assert await _comment(db) == f"vla-embeddings: {THEIRS}"


async def test_a_first_write_after_one_that_was_rolled_back_marks_the_column(
    db: Database,
) -> None:
    await db.pool.execute(f"INSERT INTO {TABLE} (instruction) VALUES ('put')")
    async with db.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        for _ in range(2):
            await index_embedding(connection, TABLE, "id", 1, COLUMN, ONES, fingerprint=OURS)
        await transaction.rollback()
        await index_embedding(connection, TABLE, "id", 1, COLUMN, ONES, fingerprint=OURS)

    assert await _comment(db) == f"vla-embeddings: {OURS}"


async def test_a_column_that_another_process_gave_to_its_model_takes_no_more_of_ours(
    db: Database,
) -> None:
    items = [{"id": n, "embedding": ONES} for n in (1, 2)]
    await db.pool.execute(f"INSERT INTO {TABLE} (instruction) VALUES ('put'), ('put')")
    async with db.pool.acquire() as connection:
        for _ in range(2):
            await index_embedding(connection, TABLE, "id", 1, COLUMN, ONES, fingerprint=OURS)
        await db.pool.execute(f"COMMENT ON COLUMN {TABLE}.{COLUMN} IS 'vla-embeddings: {THEIRS}'")

        with pytest.raises(SearchError, match="holds vectors of other model"):
            await index_embedding(connection, TABLE, "id", 2, COLUMN, ONES, fingerprint=OURS)
        with pytest.raises(SearchError, match="holds vectors of other model"):
            await batch_index_embeddings(connection, TABLE, "id", COLUMN, items, fingerprint=OURS)
    assert await db.pool.fetchval(f"SELECT {COLUMN} FROM {TABLE} WHERE id = 2") is None


@pytest.mark.parametrize("fingerprint", ["", "two\nlines", 5])
async def test_a_fingerprint_must_be_one_line(db: Database, fingerprint: str) -> None:
    for force in (False, True):
        with pytest.raises(InvalidInput, match="one line"):
            await insert_embeddings(
                db, TABLE, COLUMN, [{COLUMN: ONES}], fingerprint=fingerprint, force=force
            )
    with pytest.raises(InvalidInput, match="one line"):
        await cosine_similarity_search(db, TABLE, COLUMN, ONES, fingerprint=fingerprint)
