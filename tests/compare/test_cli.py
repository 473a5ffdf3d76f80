"""`vla-embeddings compare`: tables for people, JSON for machines, an exit status for CI."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backfill.conftest import COLUMN, TABLE
from tests.compare.conftest import Agree
from vla_embeddings.compare import MIN_COSINE
from vla_embeddings.search import Database

Run = Callable[..., subprocess.CompletedProcess[str]]

WORDS = ("--table", TABLE, "--source-column", "instruction", "--embedding-column", COLUMN)


@pytest.fixture
def run(dsn: str, models_dir: Path) -> Run:
    """Runs the installed command on this test's database."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("vla-embeddings"), "compare", *WORDS, *words],
            env={
                "PATH": "/usr/bin:/bin",
                "EMBEDDING_DATABASE_URL": dsn,
                "EMBEDDING_MODELS_DIR": str(models_dir),
            },
            capture_output=True,
            text=True,
        )

    return run


async def test_agreement_is_shown_and_exits_with_0(db: Database, run: Run, agree: Agree) -> None:
    await agree(30)
    await db.pool.execute(f"COMMENT ON COLUMN {TABLE}.{COLUMN} IS 'vla-embeddings: the old stack'")

    told = run("--sample", "1000")
    document = json.loads(run("--json", "--sample", "12").stdout)

    assert told.returncode == 0
    assert re.search(r"│ +30 │ (1\.0{6} │ ){4} +0\.999 │ +0 │", " ".join(told.stdout.split(" ")))
    assert "says that another model filled it: the old stack." in told.stdout
    assert told.stdout.endswith("Passed: stored and fresh vectors agree.\n")
    assert (document["passed"], document["recorded"]) == (True, "the old stack")
    assert document["min_cosine"] == MIN_COSINE
    assert len(document["rows"]) == 12
    assert document["percentiles"].keys() == {"min", "p1", "p5", "p50"}


async def test_disagreement_names_the_rows_and_exits_with_1(
    db: Database, run: Run, agree: Agree
) -> None:
    await agree(30)
    await db.pool.execute(
        f"UPDATE {TABLE} SET instruction = 'a drawer, [bold]closed' WHERE id = 17;"
        f"UPDATE {TABLE} SET {COLUMN} = array_fill(0::real, ARRAY[384]) WHERE id = 21;"
        f"UPDATE {TABLE} SET instruction = NULL WHERE id = 5"
    )

    told = run()
    others = run("--where", "instruction=a drawer, [bold]closed", "--min-cosine", "-1")

    assert told.returncode == 1
    assert re.search(r"Lowest +\n.*\n┃ id.*\n.*\n│ 17 +│", told.stdout)
    assert "  21: Its vector is of zero length" in told.stdout
    assert "  5: It is NULL." in told.stdout
    assert "FAILED: not every stored vector" in told.stdout
    assert others.returncode == 0


async def test_ids_are_shown_as_they_are(db: Database, run: Run, agree: Agree) -> None:
    """Square brackets are the terminal library's markup, too."""
    await agree(1)
    await db.pool.execute(
        f"CREATE TABLE named AS SELECT '[/x]' AS id, instruction, {COLUMN} FROM {TABLE};"
        "ALTER TABLE named ADD PRIMARY KEY (id)"
    )

    told = run("--table", "named")

    assert told.returncode == 0
    assert "│ [/x] │" in told.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [((), "nothing to compare"), (("--where", "instruction"), "expected column=value")],
)
def test_what_cannot_be_done_is_one_line(run: Run, words: tuple[str, ...], reason: str) -> None:
    told = run(*words)

    assert told.returncode == 1
    assert told.stderr.strip().startswith("error: ")
    assert reason in told.stderr
    assert "Traceback" not in told.stderr
