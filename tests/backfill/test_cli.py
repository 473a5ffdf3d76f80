"""`vla-embeddings backfill`: counts, exit statuses, and an orderly end on a signal."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

import vla_embeddings.backfill
from tests.backfill.conftest import TABLE, Fill, add_rows, someone_waits, stored
from vla_embeddings.backfill import BackfillPlan, BackfillReport
from vla_embeddings.cli.app import app
from vla_embeddings.search import Database

Start = Callable[..., Awaitable[Process]]

COMMAND = Path(sys.executable).with_name("vla-embeddings")
WORDS = (
    *("backfill", "--table", TABLE, "--source-column", "instruction"),
    *("--embedding-column", "instruction_embedding"),
)


@pytest.fixture
def start(dsn: str, models_dir: Path) -> Start:
    """Starts the installed command on this test's database."""

    async def start(*words: str, **environment: str) -> Process:
        return await asyncio.create_subprocess_exec(
            COMMAND,
            *WORDS,
            *words,
            env={
                "PATH": "/usr/bin:/bin",
                "EMBEDDING_DATABASE_URL": dsn,
                "EMBEDDING_MODELS_DIR": str(models_dir),
                **environment,
            },
            stdout=PIPE,
            stderr=PIPE,
        )

    return start


async def test_the_documents_command_fills_the_table(
    db: Database, start: Start, fill: Fill
) -> None:
    await fill(20)

    counted = await start("--dry-run")
    told, _ = await counted.communicate()
    filled = await start()
    report, _ = await filled.communicate()

    assert (counted.returncode, filled.returncode) == (0, 0)
    assert told.decode().startswith("Would embed 20 rows of")
    assert report.decode().startswith("Embedded 20 of 20 rows of")
    assert "Built the index instruction_analytics_instruction_embedding" in report.decode()
    assert len(await stored(db)) == 20


async def test_rows_that_cannot_be_embedded_are_listed_and_exit_with_1(
    db: Database, start: Start
) -> None:
    await add_rows(db, ["open the drawer", "", None, "wait"])
    await db.pool.execute(f"UPDATE {TABLE} SET customer_id = 'a=b' WHERE id < 4")

    process = await start("--json", "--where", "customer_id=a=b", "--no-index")
    output, _ = await process.communicate()

    report = json.loads(output)
    assert process.returncode == 1
    assert (report["embedded"], report["left"], report["plan"]["pending"]) == (1, 0, 3)
    assert [row["id"] for row in report["failed"]] == [2, 3]
    assert report["rows_per_second"] > 0
    for_people, _ = await (await start()).communicate()
    assert "2 rows got no vector:\n  2: " in for_people.decode()


async def test_any_key_can_be_shown_whatever_the_terminals_encoding_is(
    db: Database, start: Start
) -> None:
    await db.pool.execute(
        "CREATE TABLE t (number float8, name text, instruction text, "
        "instruction_embedding vector(384), PRIMARY KEY (number, name));"
        "INSERT INTO t VALUES ('-Infinity', 'ключ'), (1.5, '🤖'), ('NaN', '[/x]')"
    )
    words = ("--table", "t", "--no-index")

    document, _ = await (await start(*words, "--json", PYTHONIOENCODING="ascii")).communicate()
    lines, _ = await (await start(*words, PYTHONIOENCODING="ascii")).communicate()

    ids = [row["id"] for row in json.loads(document, parse_constant=pytest.fail)["failed"]]
    assert ids == [["-inf", "ключ"], [1.5, "🤖"], ["nan", "[/x]"]]
    assert r"  (-inf, '\u043a\u043b\u044e\u0447'): It is NULL." in lines.decode()
    assert "  (nan, '[/x]'): It is NULL." in lines.decode()


def test_what_an_engine_prints_does_not_spoil_the_json(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray prints to standard output when a process of its own dies."""
    plan = BackfillPlan(TABLE, "instruction", "instruction_embedding", "model", 0, 0, "leave")

    async def fill(*given: Any, **options: Any) -> BackfillReport:
        print("(raylet) A worker died")
        return BackfillReport(plan)

    monkeypatch.setattr(vla_embeddings.backfill, "backfill", fill)
    answer = CliRunner().invoke(app, [*WORDS, "--json", "--database-url", dsn])

    assert json.loads(answer.stdout)["embedded"] == 0
    assert "(raylet) A worker died" in answer.stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_after_the_rows_at_hand_with_a_summary(
    db: Database, start: Start, fill: Fill, signum: signal.Signals
) -> None:
    await fill(500)
    process = await start("--json", "--rows-per-second", "20")
    # Another process writes: there is no event to wait for.
    while not (await stored(db)):  # noqa: ASYNC110
        await asyncio.sleep(0.01)

    process.send_signal(signum)
    output, told = await process.communicate()

    report = json.loads(output)
    assert process.returncode == 128 + signum
    assert report["stopped"]
    assert report["embedded"] == len(await stored(db)) == 500 - report["left"]
    assert "Stopping after the rows at hand" in told.decode()


@pytest.mark.parametrize(
    ("type_", "value", "other"),
    [
        ("bigint", "5", "6"),
        ("uuid", "00000000-0000-0000-0000-000000000005", "00000000-0000-0000-0000-000000000006"),
        ("timestamptz", "2026-11-25 08:00 Europe/Berlin", "2026-11-26"),
        ("boolean", "yes", "no"),
    ],
)
async def test_the_server_reads_a_where_in_its_columns_type(
    db: Database, start: Start, fill: Fill, type_: str, value: str, other: str
) -> None:
    await fill(4)
    await db.pool.execute(
        f"ALTER TABLE {TABLE} ADD COLUMN chosen {type_};"
        f"UPDATE {TABLE} SET chosen = '{other}';"
        f"UPDATE {TABLE} SET chosen = '{value}' WHERE id = 3"
    )

    process = await start("--where", f"chosen={value}", "--no-index")
    await process.communicate()

    assert process.returncode == 0
    assert list(await stored(db)) == [3]


@pytest.mark.parametrize(
    ("mode", "lines"),
    [
        ("ACCESS EXCLUSIVE", ["Stopped before the rows were counted; nothing was changed."]),
        (
            "SHARE UPDATE EXCLUSIVE",
            [
                "Embedded 0 of 20 rows of",
                "The column's index is not built. The run that ends the work builds it;",
                "20 rows are left, to the next run",
            ],
        ),
    ],
)
async def test_a_signal_ends_what_waits_for_a_lock_and_the_summary_says_how_far_it_came(
    dsn: str, start: Start, fill: Fill, mode: str, lines: list[str]
) -> None:
    await fill(20)
    other = await asyncpg.connect(dsn)
    async with other.transaction():
        await other.execute(f"LOCK TABLE {TABLE} IN {mode} MODE")
        process = await start()
        await someone_waits(other)
        process.send_signal(signal.SIGINT)
        output, _ = await process.communicate()
    await other.close()

    assert process.returncode == 128 + signal.SIGINT
    told = output.decode().splitlines()
    assert [line[: len(expected)] for line, expected in zip(told, lines, strict=True)] == lines


@pytest.mark.parametrize(
    "words", [["--where", "customer_id"], ["--where", "id=five"], ["--root", "/"]]
)
async def test_an_unusable_option_is_one_line(start: Start, words: list[str]) -> None:
    process = await start(*words)
    _, told = await process.communicate()

    assert process.returncode == 1
    assert told.decode().strip().startswith("error: ")
    assert "Traceback" not in told.decode()
