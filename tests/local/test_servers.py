"""The embedded servers start from nothing and never outlive their parent."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
import redis

from vla_embeddings.errors import LocalServerError, MissingDependency
from vla_embeddings.local import LocalPostgres, LocalValkey, packages, postgres

CHILD = """
import time
from vla_embeddings.local import LocalPostgres, LocalValkey
database = LocalPostgres()
cache = LocalValkey()
print(database.dsn, cache.url, flush=True)
time.sleep(60)
"""


async def _value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_postgres_has_pgvector(postgres_dsn: str) -> None:
    await _value(postgres_dsn, "CREATE EXTENSION IF NOT EXISTS vector")

    version = await _value(
        postgres_dsn, "SELECT extversion FROM pg_extension WHERE extname='vector'"
    )

    assert tuple(map(int, str(version).split("."))) >= (0, 8)


def test_valkey_answers_redis_py(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("local-test", b"1", ex=5)

        assert client.get("local-test") == b"1"


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM], ids=lambda sig: sig.name)
def test_servers_stop_when_their_parent_is_killed(sig: signal.Signals) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    dsn, url = child.stdout.readline().split()
    postgres_folder = Path(parse_qs(urlsplit(dsn).query)["host"][0])
    valkey_socket = Path(url.removeprefix("unix://"))
    assert asyncio.run(_value(dsn, "SELECT 1")) == 1

    child.send_signal(sig)
    child.wait()
    child.stdout.close()

    files = (postgres_folder / "data" / "postmaster.pid", valkey_socket)
    deadline = time.monotonic() + 10
    while any(file.exists() for file in files) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(file.exists() for file in files)
    for folder in (postgres_folder, valkey_socket.parent):
        shutil.rmtree(folder)


def test_a_bad_setting_is_shown_with_the_servers_own_words() -> None:
    with pytest.raises(LocalServerError, match="maxmemory"):
        LocalValkey(settings={"maxmemory": "lots"})


def test_a_cpu_without_avx2_is_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres, "REQUIRED_CPU_FLAGS", frozenset({"avx2", "no_such_flag"}))

    with pytest.raises(LocalServerError, match="lacks no_such_flag"):
        LocalPostgres()


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(MissingDependency, match=r"vla-embeddings\[embedded\]"):
        packages.package_folder("no_such_package")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
async def test_root_can_use_binaries_in_a_private_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_others_can_enter", lambda folder: False)

    with LocalPostgres() as server:
        assert await _value(server.dsn, "SELECT 1") == 1
