"""Fixtures that every part shares: real servers and real models, started and made once a run."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from vla_embeddings.export import ensure_exported, find_current
from vla_embeddings.local import LocalPostgres, LocalValkey
from vla_embeddings.models import CLIP_IMAGE, CLIP_TEXT, MINILM, ArtifactStore, Model
from vla_embeddings.runtime import CPU_CHOICE, ImageEncoder, TextEncoder, available_cpus

REPOSITORY = Path(__file__).parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


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


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[str]:
    """The address of an empty database of the test's own."""
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("DROP DATABASE IF EXISTS of_one_test WITH (FORCE)")
    await connection.execute("CREATE DATABASE of_one_test")
    yield urlsplit(postgres_dsn)._replace(path="/of_one_test").geturl()
    await connection.execute("DROP DATABASE of_one_test WITH (FORCE)")
    await connection.close()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis or Valkey: EMBEDDING_REDIS_URL, or an embedded one."""
    if given := os.environ.get("EMBEDDING_REDIS_URL"):
        yield given
        return
    with LocalValkey() as server:
        yield server.url


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Exported models: MiniLM in fp32 and fp16, CLIP's towers in fp32, untrained unless trained
    ones are there. What is up to date is not exported again."""
    given = os.environ.get("EMBEDDING_MODELS_DIR")
    store = ArtifactStore(Path(given) if given else REPOSITORY / ".artifacts" / "models")
    ensure_exported(MINILM, ["fp32", "fp16"], store)
    for model in (CLIP_IMAGE, CLIP_TEXT):
        if find_current(model, "fp32", store) is None:
            ensure_exported(model, ["fp32"], store, untrained=True)
    return store.root


def _text_encoder(models_dir: Path, model: Model) -> TextEncoder:
    artifact = ArtifactStore(models_dir).open(model, "fp32")
    return TextEncoder.load(artifact, CPU_CHOICE, threads=available_cpus())


@pytest.fixture(scope="session")
def text_encoder(models_dir: Path) -> TextEncoder:
    """MiniLM in fp32 on the CPU."""
    return _text_encoder(models_dir, MINILM)


@pytest.fixture(scope="session")
def clip_text_encoder(models_dir: Path) -> TextEncoder:
    """CLIP's text tower in fp32 on the CPU."""
    return _text_encoder(models_dir, CLIP_TEXT)


@pytest.fixture(scope="session")
def image_encoder(models_dir: Path) -> ImageEncoder:
    """CLIP's image tower in fp32 on the CPU."""
    artifact = ArtifactStore(models_dir).open(CLIP_IMAGE, "fp32")
    return ImageEncoder.load(artifact, CPU_CHOICE, threads=available_cpus())
