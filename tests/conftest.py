"""Fixtures that every part shares: real servers and real models, started and made once a run."""

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from tests.outage import Proxy
from tests.scheduling import ByFile, longest_first
from vla_embeddings import EmbeddingConfig, EmbeddingService
from vla_embeddings.errors import EmbeddingError
from vla_embeddings.export import ensure_exported, find_current
from vla_embeddings.local import LocalPostgres, LocalValkey
from vla_embeddings.models import CLIP_IMAGE, CLIP_TEXT, MINILM, ArtifactStore, Model, Precision
from vla_embeddings.runtime import CPU_CHOICE, ImageEncoder, TextEncoder, available_cpus
from vla_embeddings.search import Database, create_schema

REPOSITORY = Path(__file__).parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
MEMORY = Path("/dev/shm")
MODELS: tuple[tuple[Model, list[Precision]], ...] = (
    (CLIP_IMAGE, ["fp32"]),
    (MINILM, ["fp32", "fp16", "int8", "fp16-tensorrt"]),
    (CLIP_TEXT, ["fp32"]),
)
WORKER = os.environ.get("PYTEST_XDIST_WORKER")

# How long an example takes tells how busy the machine is.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    """Ours in place of `--dist loadfile`."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items[:] = longest_first(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Export the models where a test will need them, in the time of none."""
    needed = any("models_dir" in getattr(item, "fixturenames", ()) for item in session.items)
    if needed and not session.config.getoption("collectonly"):
        with contextlib.suppress(EmbeddingError):  # which the fixture tells
            _exported()


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
    with pytest.MonkeyPatch.context() as patch:
        if _holds_a_server(MEMORY):  # where a database costs a fifth of one on a disk
            patch.setattr(tempfile, "tempdir", str(MEMORY))
        server = LocalPostgres(settings={"max_wal_size": "256MB"})
    with server:
        yield server.dsn


def _holds_a_server(folder: Path) -> bool:
    """Whether there is room for its files, and programs may run from there."""
    if not folder.is_dir() or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return False
    return shutil.disk_usage(folder).free > 4e9


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


@pytest.fixture
async def proxy(dsn: str, tmp_path: Path) -> AsyncIterator[Proxy]:
    """A way to this test's database that can be halted, or shut and opened."""
    proxy = Proxy(dsn, tmp_path)
    await proxy.open()
    yield proxy
    await proxy.shut()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis or Valkey: EMBEDDING_REDIS_URL, or an embedded one.

    Tests empty it, so each of several processes has one of its own.
    """
    if (given := os.environ.get("EMBEDDING_REDIS_URL")) and WORKER is None:
        yield given
        return
    with LocalValkey() as server:
        yield server.url


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Exported models: MiniLM in fp32, fp16, int8 and for TensorRT, CLIP's towers in fp32,
    untrained unless trained ones are there. What is up to date is not exported again."""
    return _exported()


@cache
def _exported() -> Path:
    """The folder of `MODELS`; each of two processes begins at another end."""
    given = os.environ.get("EMBEDDING_MODELS_DIR")
    store = ArtifactStore(Path(given) if given else REPOSITORY / ".artifacts" / "models")
    for model, precisions in MODELS if WORKER in (None, "gw0") else reversed(MODELS):
        with _alone_with(store.root / model.name):
            _export(model, precisions, store)
    return store.root


def _export(model: Model, precisions: list[Precision], store: ArtifactStore) -> None:
    current = all(find_current(model, each, store) for each in precisions)
    if not current:
        print(f"Exporting {model.name}: {', '.join(precisions)} ...", file=sys.stderr)
    if model is MINILM or not current:  # whose weights may be others
        ensure_exported(model, precisions, store, untrained=model is not MINILM)


@contextlib.contextmanager
def _alone_with(folder: Path) -> Iterator[None]:
    """Lets one process of tests at a time look at a model; the export's own lock is a file."""
    folder.mkdir(parents=True, exist_ok=True)
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


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
