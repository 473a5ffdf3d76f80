"""Ten thousand hostile names and values change no statement's meaning."""

import random
import string
from collections.abc import Awaitable, Callable
from typing import Any

from tests.search.conftest import COLUMN, FILLED, TABLE, rows_of, unit_vectors
from vla_embeddings.errors import InvalidInput, UnknownName
from vla_embeddings.search import (
    Database,
    batch_index_embeddings,
    cosine_similarity_search,
    create_hnsw_index,
    create_ivfflat_index,
    drop_index,
    euclidean_distance_search,
    index_embedding,
    inner_product_search,
    insert_embeddings,
    list_indexes,
    measure_recall,
)

ROUNDS = 4_000

PARTS = [
    "'", '"', "''", '""', ";", "--", "/*", "*/", "\\", "$1", "$$", "%s", "%I", "(", ")", ",", " ",
    "\n", "\t", ".", "::text", " OR TRUE", "' OR '1'='1", "\" = \"\" OR TRUE --", "; DROP TABLE ",
    "instruction_analytics", "public", "instruction", COLUMN, "id", "NULL", "ä", "\u202e", "😀",
    "0", "E'\\''", "U&'\\0027'", "pg_sleep(9)", "]", "[", "{", "}", "\ud800", "\0", "t.",
    "LIMIT 0",
]  # fmt: skip

ONES = unit_vectors(1)[0]


def _hostile(chance: random.Random) -> str:
    parts = chance.choices([*PARTS, *string.ascii_lowercase], k=chance.randint(1, 6))
    return "".join(parts)


async def test_no_hostile_name_or_value_changes_a_statements_meaning(
    db: Database,
) -> None:
    chance = random.Random(20)
    await insert_embeddings(db, TABLE, COLUMN, rows_of(FILLED[:200]))
    await create_hnsw_index(db, TABLE, COLUMN)
    state = (
        f"SELECT md5(string_agg(t::text, '' ORDER BY id)) || (SELECT count(*) FROM pg_class) "
        f"FROM {TABLE} t"
    )
    async with db.pool.acquire() as connection:
        await connection.execute("SET statement_timeout = '2s'")
        before = await connection.fetchval(state)
        calls = _calls(connection)
        for number in range(ROUNDS):
            text = _hostile(chance)
            if text in (TABLE, f"public.{TABLE}", COLUMN, "id", "instruction", "0"):
                continue
            try:
                answer = await calls[number % len(calls)](text)
            except (InvalidInput, UnknownName):
                continue
            assert answer in ([], 0, False), text

        assert await connection.fetchval(state) == before


async def test_a_hostile_value_is_found_as_itself(db: Database) -> None:
    chance = random.Random(21)
    values = sorted({text for _ in range(500) if (text := _hostile(chance)).isprintable()})
    rows = [{"instruction": value, COLUMN: ONES} for value in values]
    await insert_embeddings(db, TABLE, COLUMN, rows)

    async with db.pool.acquire() as connection:
        for value in values:
            for filters in (value, [value], {"eq": value, "not_in": ["another"]}):
                [row] = await cosine_similarity_search(
                    connection, TABLE, COLUMN, ONES, filters={"instruction": filters}
                )
                assert row["instruction"] == value


async def test_a_hostile_column_name_is_a_name_like_any_other(db: Database) -> None:
    chance = random.Random(22)
    for number in range(40):
        name, column = (
            f"{_hostile(chance)}{mark}".replace("\0", "").replace("\ud800", "")[:15] or mark
            for mark in "ab"
        )
        quoted = [
            '"' + part.replace('"', '""') + '"' for part in (f"t{number}", name, column + "_")
        ]
        await db.pool.execute(
            f"CREATE TABLE {quoted[0]} "
            f"(id int PRIMARY KEY, {quoted[1]} text, {quoted[2]} vector(2))"
        )
        vectors = column + "_"
        table = f"t{number}"
        await insert_embeddings(db, table, vectors, [{"id": 1, name: "x", vectors: [1, 0]}])
        await index_embedding(db, table, "id", 1, vectors, [0, 1])
        await create_hnsw_index(db, table, vectors)
        [row] = await cosine_similarity_search(db, table, vectors, [0, 1], filters={name: "x"})
        assert row[name] == "x"


def _calls(db: Any) -> list[Callable[[Any], Awaitable[object]]]:
    """Every function with one hostile argument; on success each finds or changes nothing."""
    other: dict[str, object] = {"id": -1, "embedding": ONES}
    return [
        lambda x: cosine_similarity_search(db, x, COLUMN, ONES),
        lambda x: cosine_similarity_search(db, TABLE, x, ONES),
        lambda x: cosine_similarity_search(db, TABLE, COLUMN, x),
        lambda x: cosine_similarity_search(db, TABLE, COLUMN, ONES, filters={x: x}),
        lambda x: cosine_similarity_search(db, TABLE, COLUMN, ONES, filters={"instruction": x}),
        lambda x: cosine_similarity_search(db, TABLE, COLUMN, ONES, filters={"instruction": [x]}),
        lambda x: cosine_similarity_search(db, TABLE, COLUMN, ONES, filters={"id": x}),
        lambda x: cosine_similarity_search(db, TABLE, COLUMN, ONES, filters={"id": {x: 1}}),
        lambda x: cosine_similarity_search(db, TABLE, COLUMN, ONES, columns=[x]),
        lambda x: euclidean_distance_search(db, TABLE, COLUMN, ONES, filters={"customer_id": x}),
        lambda x: inner_product_search(db, x, x, ONES),
        lambda x: index_embedding(db, x, "id", 1, COLUMN, ONES),
        lambda x: index_embedding(db, TABLE, x, 1, COLUMN, ONES),
        lambda x: index_embedding(db, TABLE, "id", x, COLUMN, ONES),
        lambda x: index_embedding(db, TABLE, "instruction", x, COLUMN, ONES),
        lambda x: batch_index_embeddings(db, TABLE, x, COLUMN, [other]),
        lambda x: batch_index_embeddings(db, TABLE, "id", COLUMN, [{**other, "id": x}]),
        lambda x: batch_index_embeddings(db, TABLE, "instruction", COLUMN, [{**other, "id": x}]),
        lambda x: insert_embeddings(db, TABLE, COLUMN, [{x: 1, COLUMN: ONES}]),
        lambda x: insert_embeddings(db, x, COLUMN, [{COLUMN: ONES}]),
        lambda x: insert_embeddings(db, TABLE, COLUMN, [{"id": x, COLUMN: ONES}]),
        lambda x: create_hnsw_index(db, x, COLUMN),
        lambda x: create_hnsw_index(db, TABLE, COLUMN, m=x),
        lambda x: create_hnsw_index(db, TABLE, COLUMN, distance_metric=x),
        lambda x: create_ivfflat_index(db, TABLE, x),
        lambda x: list_indexes(db, x),
        lambda x: drop_index(db, x),
        lambda x: measure_recall(db, TABLE, x),
    ]
