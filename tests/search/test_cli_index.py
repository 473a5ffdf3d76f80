"""`vla-embeddings index` builds, shows, drops and measures."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from typer.testing import CliRunner, Result

from tests.search.conftest import COLUMN, TABLE, rows_of, unit_vectors
from vla_embeddings.cli.index import app
from vla_embeddings.errors import SearchError, UnknownName
from vla_embeddings.search import Database, insert_embeddings

NAME = "instruction_analytics_instruction_embedding_hnsw_cosine_idx"

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def run(dsn: str) -> Run:
    """Runs one command on a database with 500 rows, off the test's own event loop."""
    async with await Database.connect(dsn) as db:
        await insert_embeddings(db, TABLE, COLUMN, rows_of(unit_vectors(500)))

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(
            CliRunner().invoke, app, [*words, "--database-url", dsn], terminal_width=200
        )

    return run


async def test_an_index_is_created_listed_measured_and_dropped(run: Run) -> None:
    created = await run("create", TABLE, COLUMN, "--m", "8", "--json")
    listed = await run("list", "--json")
    measured = await run("recall", TABLE, COLUMN, "--effort", "40", "--effort", "100", "--json")
    dropped = await run("drop", NAME, "--json")
    after = await run("list", TABLE, "--json")

    assert json.loads(created.stdout) == json.loads(listed.stdout)
    assert json.loads(listed.stdout)[0]["options"] == {"m": 8, "ef_construction": 64}
    assert [point["effort"] for point in json.loads(measured.stdout)] == [40, 100]
    assert json.loads(dropped.stdout)["dropped"]["name"] == NAME
    assert json.loads(after.stdout) == []


async def test_tables_are_for_people(run: Run) -> None:
    created = await run("create", TABLE, COLUMN, "--method", "ivfflat", "--lists", "5", "--half")
    measured = await run("recall", TABLE, COLUMN, "--sample", "5")
    listed = await run("list")

    assert "ivfflat" in created.stdout
    assert "recall@10" in measured.stdout
    assert "valid" in listed.stdout
    for result in (created, measured, listed):
        assert result.exit_code == 0


async def test_a_listed_name_is_whole_however_narrow_the_terminal(run: Run) -> None:
    await run("create", TABLE, COLUMN)

    rows = [line.split("│") for line in (await run("list")).stdout.splitlines() if "│" in line]

    assert "".join(row[1].strip() for row in rows) == f"public.{NAME}"
    assert "".join(row[2].strip() for row in rows) == f"public.{TABLE}.{COLUMN}"


async def test_what_is_wrong_is_an_error_of_ours(run: Run) -> None:
    await run("create", TABLE, COLUMN)

    assert isinstance((await run("create", TABLE, COLUMN, "--m", "8")).exception, SearchError)
    assert isinstance((await run("drop", "nothing")).exception, UnknownName)
    assert isinstance((await run("create", "nothing", COLUMN)).exception, UnknownName)
    assert (await run("create", TABLE, COLUMN, "--method", "btree")).exit_code == 2
