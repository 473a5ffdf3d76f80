"""Fixtures that every part shares: real servers and real models, started and made once a run."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from vla_embeddings import EmbeddingConfig, EmbeddingService
from vla_embeddings.export import ensure_exported, find_current
from vla_embeddings.local import LocalPostgres, LocalValkey
from vla_embeddings.models import CLIP_IMAGE, CLIP_TEXT, MINILM, ArtifactStore, Model
from vla_embeddings.runtime import CPU_CHOICE, ImageEncoder, TextEncoder, available_cpus
from vla_embeddings.search import Database, create_schema

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
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    yield urlsplit(postgres_dsn)._replace(path=f"/{name}").geturl()
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def dsn(database: str) -> str:
    """The address of a database of the test's own, with the service's tables."""
    async with await Database.connect(database) as pool:
        await create_schema(pool)
    return database


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    """A pool on the test's own database."""
    async with await Database.connect(dsn, max_size=4) as pool:
        yield pool


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
    """Exported models: MiniLM in fp32, fp16, int8 and for TensorRT, CLIP's towers in fp32,
    untrained unless trained ones are there. What is up to date is not exported again."""
    given = os.environ.get("EMBEDDING_MODELS_DIR")
    store = ArtifactStore(Path(given) if given else REPOSITORY / ".artifacts" / "models")
    ensure_exported(MINILM, ["fp32", "fp16", "int8", "fp16-tensorrt"], store)
    for model in (CLIP_IMAGE, CLIP_TEXT):
        if find_current(model, "fp32", store) is None:
            ensure_exported(model, ["fp32"], store, untrained=True)
    return store.root


def _text_encoder(models_dir: Path, model: Model) -> TextEncoder:
    artifact = ArtifactStore(models_dir).open(model, "fp32")
    return TextEncoder.load(artifact, CPU_CHOICE, threads=available_cpus())


@pytest.fixture(scope="session")
def service(models_dir: Path) -> Iterator[EmbeddingService]:
    """The real models, without a cache."""
    made = EmbeddingService(config=EmbeddingConfig(models_dir=models_dir), allow_untrained=True)
    yield made
    made.cleanup()


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
