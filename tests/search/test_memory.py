"""What a name means is remembered, and no longer than it means that."""

import gc
import weakref
from contextlib import nullcontext
from types import SimpleNamespace

import asyncpg
import pytest

from vla_embeddings.errors import InvalidInput
from vla_embeddings.search import (
    Database,
    batch_index_embeddings,
    cosine_similarity_search,
    index_embedding,
)
from vla_embeddings.search.engine import Row
from vla_embeddings.search.handles import Connection
from vla_embeddings.search.memory import Memory

TENANTS = ("a", "b")


@pytest.fixture
async def tenants(db: Database) -> Database:
    """A pool on a database where each tenant has a schema with a table of the same name."""
    for tenant in TENANTS:
        await db.pool.execute(
            f"CREATE SCHEMA {tenant}; "
            f"CREATE TABLE {tenant}.items (id int PRIMARY KEY, owner text, e vector(2)); "
            f"INSERT INTO {tenant}.items VALUES (1, '{tenant}', '[1, 0]')"
        )
    return db


async def _items(connection: Connection, columns: list[str] | None = None) -> list[Row]:
    return await cosine_similarity_search(
        connection, "items", "e", [1, 0], threshold=-1.0, columns=columns
    )


async def _owners(connection: Connection) -> list[str]:
    return [row["owner"] for row in await _items(connection)]


def _report_no_search_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """As PostgreSQL before 18."""
    monkeypatch.setattr(asyncpg.Connection, "get_settings", lambda _: SimpleNamespace())


@pytest.mark.parametrize("reported", [True, False])
async def test_a_name_is_read_and_written_where_the_search_path_leads_at_that_moment(
    tenants: Database, monkeypatch: pytest.MonkeyPatch, reported: bool
) -> None:
    if not reported:
        _report_no_search_path(monkeypatch)
    async with tenants.pool.acquire() as connection:
        for tenant in TENANTS:
            await connection.execute(f"SET search_path TO {tenant}, public")
            assert await _owners(connection) == [tenant]
        await index_embedding(connection, "items", "id", 1, "e", [0, 1])
        async with connection.transaction():
            await connection.execute("SET LOCAL search_path TO a, public")
            assert await _owners(connection) == ["a"]
            items = [{"id": 1, "embedding": [1, 1]}]
            await batch_index_embeddings(connection, "items", "id", "e", items)
        assert await _owners(connection) == ["b"]

    assert await tenants.pool.fetchval("SELECT e::text FROM a.items") == "[1,1]"
    assert await tenants.pool.fetchval("SELECT e::text FROM b.items") == "[0,1]"


async def test_a_search_by_a_remembered_name_is_one_round_trip(tenants: Database) -> None:
    statements: list[str] = []
    async with tenants.pool.acquire() as connection:
        if not hasattr(connection.get_settings(), "search_path"):
            pytest.skip("this server does not report search_path")
        await connection.execute("SET search_path TO a, public")
        await _owners(connection)
        with connection.query_logger(lambda record: statements.append(record.query)):
            await _owners(connection)

    assert len(statements) == 1


async def test_a_wrong_filter_costs_searches_on_other_connections_nothing(
    tenants: Database,
) -> None:
    statements: list[str] = []
    async with tenants.pool.acquire() as careless, tenants.pool.acquire() as connection:
        if not hasattr(connection.get_settings(), "search_path"):
            pytest.skip("this server does not report search_path")
        for each in (careless, connection):
            await each.execute("SET search_path TO a, public")
            await _owners(each)
        with pytest.raises(InvalidInput, match="no such comparison"):
            await cosine_similarity_search(
                careless, "items", "e", [1, 0], filters={"id": {"like": "1%"}}
            )
        with connection.query_logger(lambda record: statements.append(record.query)):
            await _owners(connection)

    assert len(statements) == 1


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize(
    ("change", "columns"),
    [
        ("DROP COLUMN owner", None),
        ("DROP COLUMN id", ["owner"]),
        ("ALTER COLUMN owner TYPE varchar(9)", None),
        ("ALTER COLUMN e TYPE halfvec(2)", ["e"]),
    ],
)
async def test_a_search_goes_on_when_another_session_has_changed_the_table(
    tenants: Database, change: str, columns: list[str] | None, in_transaction: bool
) -> None:
    async with tenants.pool.acquire() as connection:
        await connection.execute("SET search_path TO a, public")
        scope = connection.transaction() if in_transaction else nullcontext()
        await _items(connection, columns)
        await tenants.pool.execute(f"ALTER TABLE a.items {change}")
        async with scope:
            [row] = await _items(connection, columns)

    assert row["similarity"] == 1.0


async def test_a_table_that_a_rolled_back_transaction_made_is_not_remembered(
    db: Database,
) -> None:
    async with db.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("CREATE TABLE items (owner text, e vector(3))")
        assert await cosine_similarity_search(connection, "items", "e", [1, 0, 0]) == []
        await transaction.rollback()
        await connection.execute("CREATE TABLE items (owner text, e vector(2))")

        assert await _owners(connection) == []


async def test_what_is_too_old_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Value: ...

    monkeypatch.setattr("vla_embeddings.search.memory.FRESH_SECONDS", 0.0)
    memory: Memory[Value] = Memory()

    def added(name: str) -> weakref.ref[Value]:
        value = Value()
        memory.add(("public", name), value)
        return weakref.ref(value)

    known = [added(str(place)) for place in range(100)]
    gc.collect()

    assert [value() is not None for value in known] == [*[False] * 99, True]
