"""What the README and the guides show is what happens."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.blocks import code_blocks, run_block
from tests.cache.servers import make_caches_patient
from vla_embeddings import EmbeddingCache, EmbeddingConfig, EmbeddingService
from vla_embeddings.samples import make_scenes
from vla_embeddings.search import Database, create_schema

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _with_our_servers(markdown: str, database: str, redis_url: str) -> str:
    return (
        markdown.replace("postgresql://localhost/robots", database)
        .replace("redis://localhost:6379", redis_url)
        .replace("EmbeddingService(", "EmbeddingService(config=config, ")
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
    make_caches_patient(monkeypatch)
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


@pytest.mark.parametrize("guide", ["backfill", "cache", "search"])
async def test_each_guides_python_runs_as_written(
    guide: str, database: str, redis_url: str, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDDING_DATABASE_URL", database)
    make_caches_patient(monkeypatch)
    text = (ROOT / "docs" / f"{guide}.md").read_text()
    config = EmbeddingConfig(models_dir=models_dir)
    connection = await asyncpg.connect(database)
    await create_schema(connection)
    await connection.close()
    cache = EmbeddingCache(redis_url=redis_url)

    async with (
        await Database.connect(database) as db,
        EmbeddingService(cache=cache, config=config, allow_untrained=True) as service,
    ):
        names: dict[str, Any] = {"config": config, "db": db, "service": service, "cache": cache}
        await _run_python(_with_our_servers(text, database, redis_url), names)
        if names["db"] is not db:  # the guide opened one of its own
            await names["db"].close()


def test_links_lead_to_files() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_readme_shows_what_the_demo_prints(models_dir: Path) -> None:
    """Times differ from machine to machine, and images' distances with the weights at hand."""
    command = [str(Path(sys.executable).with_name("vla-embeddings")), "demo"]
    environment = {"PATH": "/usr/bin:/bin", "EMBEDDING_MODELS_DIR": str(models_dir)}

    result = subprocess.run(command, env=environment, capture_output=True, text=True)

    def stable(output: str) -> list[str]:
        untimed = re.sub(r"[\d.,]+ ?(ms|/s|s)\b", "TIME", output)
        untimed = re.sub("[━─]+", "─", untimed)  # a column is as wide as its longest time
        lines = [" ".join(line.split()) for line in untimed.splitlines() if line.strip()]
        return [line for line in lines if not line.startswith("│") or "│ 0." in line]

    (shown,) = code_blocks(README, "text")
    searched = slice(None, stable(shown).index(next(x for x in stable(shown) if "Image" in x)))
    assert stable(result.stdout)[searched] == stable(shown)[searched], result.stderr
