"""Fixtures that every part shares: real servers, started once a run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vla_embeddings.local import LocalPostgres, LocalValkey

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test data beside the repository; skips the test where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real test data at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """A PostgreSQL with pgvector: EMBEDDING_DATABASE_URL, or an embedded one."""
    if given := os.environ.get("EMBEDDING_DATABASE_URL"):
        yield given
        return
    with LocalPostgres() as server:
        yield server.dsn


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis or Valkey: EMBEDDING_REDIS_URL, or an embedded one."""
    if given := os.environ.get("EMBEDDING_REDIS_URL"):
        yield given
        return
    with LocalValkey() as server:
        yield server.url
