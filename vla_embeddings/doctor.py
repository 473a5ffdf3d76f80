"""What works on this machine, and what to do about what does not."""

import asyncio
import importlib.metadata
import platform
import sys
from collections.abc import Awaitable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from vla_embeddings.cache import EmbeddingCache
from vla_embeddings.cache.stats import for_people
from vla_embeddings.config import Device, EmbeddingConfig
from vla_embeddings.errors import ArtifactDamaged, EmbeddingError, ModelNotFound
from vla_embeddings.models import ArtifactStore, Kind, Precision, find_model
from vla_embeddings.runtime import available_cpus, choose_providers, onnxruntime, select
from vla_embeddings.runtime.cpu import find_cpu
from vla_embeddings.runtime.gpu import Gpu, find_gpu
from vla_embeddings.runtime.trial import require_provider
from vla_embeddings.runtime.wheels import installed_wheels

State = Literal["ok", "note", "broken"]
CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
SECONDS_PER_SERVER = 5.0
# Longer than a request waits, which would call a Redis unreachable that is slow to connect to.
SECONDS_PER_ANSWER = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the screen."""

    subject: str
    state: State
    detail: str
    remedy: str = ""


async def examine(config: EmbeddingConfig) -> list[Finding]:
    """Look at everything the library needs. Nothing is changed, and nothing raises."""
    providers, failed = _providers(config)
    findings = [_python(), *_onnxruntime(), _device(config, failed), *_gpu(), *providers, _cpu()]
    findings += _models(config)
    findings.append(await _server("Redis", _redis(config)))
    findings.append(await _server("PostgreSQL", _postgres(config)))
    return findings


def _python() -> Finding:
    ours = importlib.metadata.version("vla-embeddings")
    detail = f"{platform.python_version()}, vla-embeddings {ours}, {sys.executable}"
    return Finding("Python", "ok", detail)


def _onnxruntime() -> Iterator[Finding]:
    wheels = installed_wheels()
    if len(wheels) > 1:
        yield Finding(
            "ONNX Runtime wheels",
            "broken",
            f"{' and '.join(wheels)} are both installed and overwrite each other",
            f"pip uninstall {' '.join(wheels)}; then install one: pip install "
            "'vla-embeddings[cpu]' or 'vla-embeddings[gpu]'",
        )
    try:
        module = onnxruntime()
    except EmbeddingError as error:
        yield Finding("ONNX Runtime", "broken", str(error))
        return
    providers = ", ".join(
        name.removesuffix("ExecutionProvider") for name in module.get_available_providers()
    )
    yield Finding("ONNX Runtime", "ok", f"{module.__version__} with {providers}")


def _providers(config: EmbeddingConfig) -> tuple[list[Finding], set[Device]]:
    """What each GPU provider that the wheel and the driver have does, and those that fail."""
    findings: list[Finding] = []
    failed: set[Device] = set()
    gpu: tuple[Device, ...] = ("cuda", "tensorrt")
    for device in gpu:
        try:
            choice = choose_providers(device)
        except EmbeddingError:  # of which the device's own finding tells
            continue
        subject = choice.providers[0].removesuffix("ExecutionProvider")
        try:
            require_provider(onnxruntime(), choice)
        except EmbeddingError as error:
            failed.add(device)
            state: State = "broken" if config.device == device else "note"
            findings.append(Finding(subject, state, str(error)))
        else:
            findings.append(Finding(subject, "ok", "comes up, with all of its libraries"))
    return findings, failed


def _device(config: EmbeddingConfig, failed: Collection[Device]) -> Finding:
    try:
        device = choose_providers(config.device).device
        if config.device == "auto" and device in failed:
            device = "cpu"
        models: dict[str, list[str]] = {}
        for kind in get_args(Kind):
            for chosen, name in _chosen(config, kind, failed):
                models.setdefault(chosen, []).append(name)
    except EmbeddingError as error:
        return Finding("Device", "broken", str(error))
    runs = [f"{chosen} for {' and '.join(names)}" for chosen, names in models.items()]
    detail = "; ".join(runs) or f"{device}, and no model was exported for it"
    return Finding("Device", "ok", f"{config.device} means {detail}")


def _chosen(
    config: EmbeddingConfig, kind: Kind, failed: Collection[Device]
) -> Iterator[tuple[str, str]]:
    """What the service would run a model in, and its name; nothing where it is not there."""
    store = ArtifactStore(config.models_dir)
    try:
        model = find_model(config.name_of_model(kind), kind)
        artifact, choice = select(model, store, config.device, config.precision, failed)
    except (ModelNotFound, ArtifactDamaged):  # which a finding of its own tells
        return
    yield f"{choice.device}, {artifact.manifest.precision}", model.name


def _gpu() -> Iterator[Finding]:
    if (gpu := find_gpu()) is not None:
        yield Finding("GPU", "ok", _describe(gpu))


def _describe(gpu: Gpu) -> str:
    major, minor = gpu.cuda
    return (
        f"{gpu.name}, compute capability {gpu.compute_capability}, driver {gpu.driver} for CUDA "
        f"up to {major}.{minor}"
    )


def _cpu() -> Finding:
    cpu = find_cpu()
    flags = ", ".join(flag for flag in CPU_FLAGS if flag in cpu.flags)
    known = flags or "no vector extensions known"
    return Finding("CPU", "ok", f"{cpu.name}, {available_cpus()} threads to use; {known}")


def _models(config: EmbeddingConfig) -> Iterator[Finding]:
    store = ArtifactStore(config.models_dir)
    yield Finding("Models folder", "ok", str(store.root))
    precisions: tuple[Precision, ...] = get_args(Precision)
    for kind in get_args(Kind):
        try:
            model = find_model(config.name_of_model(kind), kind)
        except EmbeddingError as error:
            yield Finding(f"The {kind} model", "broken", str(error))
            continue
        there: list[Precision] = [
            name for name in precisions if (store.root / model.name / name).exists()
        ]
        if not there:
            yield Finding(model.name, "note", "not exported", model.command())
        for precision in there:
            subject = f"{model.name} {precision}"
            try:
                artifact = store.open(model, precision)
                artifact.verify()
            except EmbeddingError as error:
                yield Finding(subject, "broken", str(error))
                continue
            manifest = artifact.manifest
            untrained = manifest.weights == "untrained"
            yield Finding(
                subject,
                "note" if untrained else "ok",
                f"{'UNTRAINED, ' if untrained else ''}{manifest.source}, "
                f"cosine to PyTorch at least {manifest.parity.min_cosine:.6f}",
                f"{artifact.remedy} --source FOLDER" if untrained else "",
            )


async def _server(subject: str, check: Awaitable[Finding]) -> Finding:
    try:
        async with asyncio.timeout(SECONDS_PER_SERVER):
            return await check
    except TimeoutError:
        return Finding(subject, "broken", f"no answer within {SECONDS_PER_SERVER:g} s")
    except EmbeddingError as error:
        return Finding(subject, "broken", str(error))


async def _redis(config: EmbeddingConfig) -> Finding:
    async with EmbeddingCache(config.redis_url, deadline=SECONDS_PER_ANSWER) as cache:
        memory = await cache.memory_used()  # get_stats would count the keys, for long
        if memory is None:
            return Finding(
                "Redis",
                "note",
                f"{cache!r} cannot be reached; embeddings are computed every time",
                "start one (redis-server), or set EMBEDDING_REDIS_URL",
            )
        return Finding("Redis", "ok", f"answers; {for_people(memory)} used")


async def _postgres(config: EmbeddingConfig) -> Finding:
    if config.database_url is None:
        return Finding(
            "PostgreSQL", "note", "no address given", "set EMBEDDING_DATABASE_URL for searches"
        )
    from vla_embeddings.search import Database

    async with await Database.connect(config.database_url) as database:
        version = await database.pool.fetchval("SHOW server_version")
        pgvector = await database.pool.fetchval(
            "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
        )
    if pgvector is None:
        return Finding(
            "PostgreSQL", "broken", f"{version} without pgvector", "vla-embeddings db init"
        )
    return Finding("PostgreSQL", "ok", f"{version} with pgvector {pgvector}")
