"""What the README and the guides show is what happens."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.blocks import code_blocks, run_block
from vla_embeddings import EmbeddingCache, EmbeddingConfig, EmbeddingService
from vla_embeddings.samples import make_scenes
from vla_embeddings.search import create_schema

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[str]:
    """The address of an empty database of its own."""
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("DROP DATABASE IF EXISTS readme WITH (FORCE)")
    await connection.execute("CREATE DATABASE readme")
    yield urlsplit(postgres_dsn)._replace(path="/readme").geturl()
    await connection.execute("DROP DATABASE readme WITH (FORCE)")
    await connection.close()


def _with_our_servers(markdown: str, database: str, redis_url: str) -> str:
    return (
        markdown.replace("postgresql://localhost/robots", database)
        .replace("redis://localhost:6379", redis_url)
        .replace("EmbeddingService(", "EmbeddingService(config=config, allow_untrained=True, ")
    )


async def _run_python(markdown: str, names: dict[str, Any]) -> None:
    for block in code_blocks(markdown, "python"):
        await run_block(block, names)


async def test_the_readmes_python_runs_as_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    database: str,
    redis_url: str,
    models_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_scenes(1)[0].image.save(tmp_path / "robot_view.jpg")
    monkeypatch.chdir(tmp_path)
    connection = await asyncpg.connect(database)
    await create_schema(connection)
    await connection.close()

    await _run_python(
        _with_our_servers(README, database, redis_url),
        {"config": EmbeddingConfig(models_dir=models_dir)},
    )

    printed = capsys.readouterr().out
    assert printed.startswith("(384,)\n(512,)\n(2, 384) (1, 512)\n")
    assert re.search(r"close the drawer: 0\.\d{3}", printed)
    assert "'total_keys': " in printed


def test_the_readmes_shell_commands_run_as_written(
    tmp_path: Path, database: str, redis_url: str, models_dir: Path
) -> None:
    """Installing is left to the installation, and making to CI, which runs those commands."""
    lines = [
        line
        for block in code_blocks(README, "bash")
        for line in _with_our_servers(block, shlex.quote(database), redis_url).splitlines()
        if not line.startswith(("pip ", "make "))
    ]
    script = "set -eu\n" + "\n".join(lines)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "EMBEDDING_MODELS_DIR": str(models_dir), "PATH": path}

    result = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True
    )

    assert result.returncode == 0, result.stderr
    assert len(lines) >= 6


def test_every_extra_the_readme_installs_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"pip install 'vla-embeddings\[([\w,]+)\]'", README)

    wanted = {extra for extras in named for extra in extras.split(",")}
    assert wanted
    assert wanted <= set(project["optional-dependencies"])


def test_every_make_command_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^`?make ([\w-]+)", README, re.MULTILINE))

    assert {"demo", "test"} <= targets
    assert targets <= set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))


def test_the_settings_table_lists_every_setting_and_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("EMBEDDING_")]:
        monkeypatch.delenv(name)
    table = dict(re.findall(r"^\| `(EMBEDDING_\w+)` \| `?(.*?)`? \|", README, re.MULTILINE))
    config = EmbeddingConfig()

    assert set(table) == {f"EMBEDDING_{name.upper()}" for name in type(config).model_fields}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, bool | int | float | str):
            shown = json.dumps(value) if isinstance(value, bool) else str(value)
            assert table[f"EMBEDDING_{name.upper()}"] == shown


@pytest.mark.parametrize("guide", ["cache", "search"])  # inference has a test of its own
async def test_each_guides_python_runs_as_written(
    guide: str, database: str, redis_url: str, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDDING_DATABASE_URL", database)
    text = (ROOT / "docs" / f"{guide}.md").read_text()
    config = EmbeddingConfig(models_dir=models_dir)
    connection = await asyncpg.connect(database)
    await create_schema(connection)
    cache = EmbeddingCache(redis_url=redis_url)

    async with EmbeddingService(cache=cache, config=config, allow_untrained=True) as service:
        await _run_python(
            _with_our_servers(text, database, redis_url),
            {"config": config, "db": connection, "service": service, "cache": cache},
        )

    await connection.close()


def test_links_lead_to_files() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"
