"""What each filter keeps, and what is refused."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
import pytest_asyncio

from tests.search.conftest import Templates, make_read_only
from vla_embeddings.errors import InvalidInput, UnknownName
from vla_embeddings.search import Database, cosine_similarity_search

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def _make_things(db: Database) -> None:
    """Six rows: n 1 to 6, name a to e and NULL, made an hour apart."""
    await db.pool.execute(
        "CREATE TYPE mood AS ENUM ('calm', 'busy');"
        "CREATE TABLE things (n int PRIMARY KEY, name varchar(10), price numeric, "
        "made timestamptz, feeling mood, facts json, tags text[], e vector(2))"
    )
    await db.pool.executemany(
        "INSERT INTO things VALUES ($1, $2, $3, $4, 'calm', '{}', '{a}', '[1,1]')",
        [
            (n + 1, "abcde"[n] if n < 5 else None, n / 2, NOW + n * timedelta(hours=1))
            for n in range(6)
        ],
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def things_dsn(template: Templates) -> AsyncIterator[str]:
    """The address of a read-only database with the six rows."""
    async with template.copied("empty") as dsn:
        async with await Database.connect(dsn) as db:
            await _make_things(db)
        await make_read_only(dsn)
        yield dsn


@pytest.fixture
async def things(things_dsn: str) -> AsyncIterator[Database]:
    """A pool on these rows."""
    async with await Database.connect(things_dsn) as db:
        yield db


async def _kept(db: Database, filters: object) -> list[int]:
    rows = await cosine_similarity_search(db, "things", "e", [1, 1], filters=filters)  # type: ignore[arg-type]  # some are wrong on purpose
    return [row["n"] for row in rows]


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"n": 2}, [2]),
        ({"n": np.int64(2)}, [2]),
        ({"n": 2.0}, [2]),
        ({"n": [2, 3, 99]}, [2, 3]),
        ({"n": {4, 5}}, [4, 5]),
        ({"n": []}, []),
        ({"n": {"eq": 2}}, [2]),
        ({"n": {"ne": 2}}, [1, 3, 4, 5, 6]),
        ({"n": {"gte": 2, "lt": 4}}, [2, 3]),
        ({"n": {"gt": 2, "lte": 4}}, [3, 4]),
        ({"n": {"in": (1, 2)}}, [1, 2]),
        ({"n": {"not_in": [1, 2, 3]}}, [4, 5, 6]),
        ({"name": "a"}, [1]),
        ({"name": None}, [6]),
        ({"name": {"is_null": False}}, [1, 2, 3, 4, 5]),
        ({"name": {"ne": "a"}}, [2, 3, 4, 5, 6]),
        ({"name": {"not_in": ["a", "b"]}}, [3, 4, 5, 6]),
        ({"name": {"like": "%A%"}}, []),
        ({"name": {"ilike": "%A%"}}, [1]),
        ({"price": {"gt": 1.5}}, [5, 6]),
        ({"made": {"gte": NOW + timedelta(hours=4)}}, [5, 6]),
        ({"feeling": "calm", "n": 1}, [1]),
        ({"feeling": ["busy"]}, []),
        ({"n": [1, 2, 3], "name": {"ne": "b"}}, [1, 3]),
    ],
)
async def test_a_filter_keeps_the_rows_that_match(
    things: Database, filters: object, kept: list[int]
) -> None:
    assert await _kept(things, filters) == kept


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"n": "two"}, r'Column "n" is of type pg_catalog.int4; got'),
        ({"n": {"gte": 2.5}}, r'Column "n" is of type pg_catalog.int4; got 2.5'),
        ({"n": [1, Decimal("2.5")]}, r'Column "n" is of type pg_catalog.int4; got Decimal'),
        ({"n": float("inf")}, r'Column "n" is of type pg_catalog.int4; got inf'),
        ({"n": ["two"]}, r'Column "n" is of type pg_catalog.int4; got'),
        ({"name": 5}, r'Column "name" is of type pg_catalog."varchar"; got'),
        ({"n": 2**40}, r'Column "n"'),
        ({"name": "\0"}, "does not fit"),
        ({"feeling": "angry"}, "does not fit"),
        ({"feeling": "$9"}, r'does not fit .*"\$9"'),
        ({"n": ["(invalid array element at index 9: x)"]}, 'Column "n" is of type'),
        ({"n": Decimal("sNaN")}, r'Column "n" is of type pg_catalog.int4; got Decimal'),
        ({"n": [np.array([1, 2])]}, r'Column "n" is of type pg_catalog.int4; got array'),
        ({"name": [np.array([1, 2])]}, "no single value"),
        ({"n": {"like": 5}}, "a pattern must be a string"),
        ({"n": {"between": [1, 2]}}, "no operator 'between'; use eq, ne, lt"),
        ({"n": {}}, "name an operator: eq, ne"),
        ({"n": {5: 1}}, "no operator 5"),
        ({"name": {"in": "abc"}}, "a list of values is needed; got 'abc'"),
        ({"name": ["a", None]}, "cannot hold None"),
        ({"name": {"eq": None}}, "is_null"),
        ({"name": {"is_null": "yes"}}, "is_null takes True or False"),
        ({"e": [1, 1]}, "single, plain values"),
        ({"tags": "a"}, "single, plain values"),
        ({"facts": "{}"}, "no such comparison"),
        (["n"], "filters must map columns to values; got list"),
        (5, "filters must map columns to values; got int"),
        ("n = 2", "filters must map columns to values; got str"),
    ],
)
async def test_an_unusable_filter_is_refused(
    things: Database, filters: object, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        await _kept(things, filters)


@pytest.mark.parametrize("name", ["colour", "N", "n; DROP TABLE things", "", 5, None, ("n",)])
async def test_an_unknown_column_is_answered_with_those_there_are(
    things: Database, name: object
) -> None:
    with pytest.raises(UnknownName, match="it has n, name, price"):
        await _kept(things, {name: 1})


async def test_a_column_added_later_can_be_filtered_by_at_once(db: Database) -> None:
    await _make_things(db)
    assert await _kept(db, {"n": 1}) == [1]
    await db.pool.execute("ALTER TABLE things ADD COLUMN late int DEFAULT 3")

    assert await _kept(db, {"late": 3, "n": 2}) == [2]
