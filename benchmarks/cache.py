"""What the cache costs, beside the plain client and RedisVL's cache, and with Redis down.

    .venv/bin/python benchmarks/cache.py [--redis-url URL] [--without-redisvl] [--json FILE]

Each pair is timed in turns (A B A B ...) against the same server: an embedded Valkey on TCP
loopback, or the Redis at --redis-url. RedisVL is installed into a temporary virtual environment
and runs in a process of its own.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import redis.asyncio
from numpy.typing import NDArray

from vla_embeddings.cache import EmbeddingCache, SingleFlight, instruction_key
from vla_embeddings.config import EmbeddingConfig, embedding_config
from vla_embeddings.export import ensure_exported
from vla_embeddings.local import LocalValkey
from vla_embeddings.models import MINILM, ArtifactStore
from vla_embeddings.service import EmbeddingService

ROUNDS = 9
INSTRUCTION = "pick up the red block on the left and put it into the blue b"  # 60 characters

Measure = Callable[[], Awaitable[object]]
Vectors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Line:
    """One figure and the bound it is held to."""

    work: str
    figure: str
    reach: str
    passed: bool | None
    """None where it could not be measured."""


def row(work: str, value: float, unit: str, sign: str, bound: float, detail: str = "") -> Line:
    passed = value >= bound if sign == ">=" else value <= bound
    return Line(work, f"{value:.3g}{unit}{detail}", f"{sign} {bound:g}{unit}", passed)


async def seconds(work: Measure, repeats: int) -> float:
    """Seconds of one call, from `repeats` in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        await work()
    return (time.perf_counter() - start) / repeats


async def in_turns(a: Measure, b: Measure, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of both, A B A B; the first round warms up and is dropped."""
    times = [(await seconds(a, repeats), await seconds(b, repeats)) for _ in range(ROUNDS + 1)]
    return [first for first, _ in times[1:]], [second for _, second in times[1:]]


def spread(times: list[float], unit: float, name: str) -> str:
    low, middle, high = min(times) / unit, statistics.median(times) / unit, max(times) / unit
    return f"{middle:.3g} ({low:.3g}-{high:.3g}) {name}"


def ratio_line(work: str, raw: list[float], ours: list[float], bound: float) -> Line:
    detail = f": {spread(ours, 1e-3, 'ms')} against {spread(raw, 1e-3, 'ms')}"
    ratio = statistics.median(ours) / statistics.median(raw)
    return row(work, ratio, "x", "<=", bound, detail)


def plain_get_many(client: redis.asyncio.Redis, keys: list[str]) -> Measure:
    async def work() -> None:
        values = cast(list[bytes], await client.mget(keys))  # none is missing or decoded
        [np.frombuffer(value, np.float32) for value in values]

    return work


def plain_set_many(client: redis.asyncio.Redis, vectors: Vectors) -> Measure:
    async def work() -> None:
        pipeline = client.pipeline(transaction=False)
        for key, vector in vectors.items():
            pipeline.set(key, vector.tobytes(), px=600_000)
        await pipeline.execute()

    return work


async def against_plain_client(url: str, vectors: Vectors) -> AsyncIterator[Line]:
    plain_vectors = {f"plain:{key}": vector for key, vector in vectors.items()}
    plain_keys, keys = list(plain_vectors), list(vectors)
    async with (
        redis.asyncio.Redis.from_url(url) as client,
        EmbeddingCache(url, ttl=600, memory_entries=0) as cache,
    ):
        raw, ours = await in_turns(
            plain_set_many(client, plain_vectors), lambda: cache.set_many(vectors), 3
        )
        yield ratio_line("set_many of 1,000 / pipeline of SET", raw, ours, 1.6)
        raw, ours = await in_turns(
            plain_get_many(client, plain_keys), lambda: cache.get_many(keys), 20
        )
        yield ratio_line("get_many of 1,000 / MGET + np.frombuffer", raw, ours, 1.6)
        raw, ours = await in_turns(
            lambda: client.get(plain_keys[0]), lambda: cache.get_embedding(keys[0]), 300
        )
        added = (statistics.median(ours) - statistics.median(raw)) * 1e6
        detail = f": {spread(ours, 1e-6, 'µs')} against {spread(raw, 1e-6, 'µs')}"
        yield row("one get_embedding hit, added to a plain GET", added, " µs", "<=", 120, detail)


async def memory_hit(url: str) -> Line:
    [(artifact, _)] = ensure_exported(MINILM, ["fp32"], ArtifactStore(embedding_config.models_dir))
    config = EmbeddingConfig(models_dir=artifact.folder.parents[1], precision="fp32", device="cpu")
    async with EmbeddingService(cache=EmbeddingCache(url, ttl=600), config=config) as service:
        await service.get_instruction_embedding(INSTRUCTION)

        async def work() -> None:
            await service.get_instruction_embedding(INSTRUCTION)

        times = [await seconds(work, 1000) for _ in range(ROUNDS)]
    return row(
        "hit in this process, through the service", statistics.median(times) * 1e6, " µs", "<=", 60
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextlib.contextmanager
def valkey_on_loopback() -> Iterator[str]:
    port = free_port()
    with LocalValkey(port=port):
        yield f"redis://127.0.0.1:{port}"


@contextlib.contextmanager
def silent_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


async def redis_down(name: str, url: str) -> AsyncIterator[Line]:
    """The first call, and the 99th percentile of 3,000 calls in 3 s once the breaker is open."""
    async with EmbeddingCache(url, memory_entries=0) as cache:
        first = await seconds(lambda: cache.get_embedding("instruction:a"), 1)
        yield row(f"{name}: first call", first * 1e3, " ms", "<=", 60)
        while (await cache.get_stats())["breaker"] == "closed":
            await cache.get_embedding("instruction:a")
        times = []
        for _ in range(3000):
            times.append(await seconds(lambda: cache.get_embedding("instruction:a"), 1))
            await asyncio.sleep(0.001)
        yield row(f"{name}: later, p99", np.percentile(times, 99) * 1e3, " ms", "<=", 1)


async def shared_computations(url: str, vectors: Vectors) -> Line:
    key, vector = next(iter(vectors.items()))
    computations = 0

    async with EmbeddingCache(url, ttl=600) as cache:
        await cache.clear_pattern("*")
        flight = SingleFlight[NDArray[np.float32]]()

        async def compute() -> NDArray[np.float32]:
            nonlocal computations
            if (found := await cache.get_embedding(key)) is not None:
                return found
            computations += 1
            await asyncio.sleep(0.005)
            await cache.set_embedding(key, vector)
            return vector

        await asyncio.gather(*(flight.run(key, compute) for _ in range(1000)))
    return row("1,000 equal requests at once, computations", computations, "", "<=", 1)


REDISVL_WORKER = """
import sys, time
import numpy as np
from redisvl.extensions.cache.embeddings import EmbeddingsCache

cache = EmbeddingsCache(name="benchmark", redis_url=sys.argv[1], ttl=600)
vectors = np.load(sys.argv[2])
texts = [f"instruction {i}" for i in range(len(vectors))]
cache.mset([
    {"content": text, "model_name": "model", "embedding": vector.tolist()}
    for text, vector in zip(texts, vectors)
])
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    found = cache.mget(contents=texts, model_name="model")
    end = time.perf_counter()
    assert len(found) == len(texts) and found[0]["embedding"]
    print(end - start, flush=True)
cache.clear()
"""


class NotInstalled(Exception):
    """RedisVL could not be installed; the message says why."""


def start_redisvl(folder: Path, url: str, vectors: Vectors) -> subprocess.Popen[str]:
    """A process that times one `mget` of all vectors for each line it is sent."""
    python = folder / "venv" / "bin" / "python"
    venv.create(python.parents[1], with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "redisvl"]
    installed = subprocess.run(install, capture_output=True, text=True, check=False)
    if installed.returncode != 0:
        raise NotInstalled(installed.stderr.strip().splitlines()[-1])
    data = folder / "vectors.npy"
    np.save(data, np.stack(list(vectors.values())))
    return subprocess.Popen(
        [str(python), "-c", REDISVL_WORKER, url, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def against_redisvl(url: str, vectors: Vectors) -> Line:
    work = "get_many of 1,000, times faster than RedisVL"
    with tempfile.TemporaryDirectory(prefix="vla-benchmark-") as folder:
        try:
            worker = start_redisvl(Path(folder), url, vectors)
        except NotInstalled as reason:
            return Line(work, f"not measured: {reason}", ">= 15x", None)
        with worker:
            theirs, ours = await in_turns_with(worker, url, vectors)
    times = statistics.median(theirs) / statistics.median(ours)
    detail = f": {spread(ours, 1e-3, 'ms')} against {spread(theirs, 1e-3, 'ms')}"
    return row(work, times, "x", ">=", 15, detail)


async def in_turns_with(
    worker: subprocess.Popen[str], url: str, vectors: Vectors
) -> tuple[list[float], list[float]]:
    """As `in_turns`, with another process's work as A and `get_many` as B."""
    assert worker.stdin is not None  # both are pipes
    assert worker.stdout is not None
    times = []
    async with EmbeddingCache(url, ttl=600, memory_entries=0) as cache:
        await cache.set_many(vectors)
        worker.stdout.readline()
        for _ in range(ROUNDS + 1):
            print(file=worker.stdin, flush=True)
            theirs = float(worker.stdout.readline())
            times.append((theirs, await seconds(lambda: cache.get_many(list(vectors)), 5)))
        worker.stdin.close()
    return [theirs for theirs, _ in times[1:]], [ours for _, ours in times[1:]]


async def measure(url: str, *, redisvl: bool) -> AsyncIterator[Line]:
    random = np.random.default_rng(0).standard_normal((1000, 384), dtype=np.float32)
    vectors = {instruction_key("model", str(number)): row for number, row in enumerate(random)}
    async for line in against_plain_client(url, vectors):
        yield line
    if redisvl:
        yield await against_redisvl(url, vectors)
    yield await memory_hit(url)
    async for line in redis_down("port closed", f"redis://127.0.0.1:{free_port()}"):
        yield line
    with silent_port() as address:
        async for line in redis_down("port never answers", address):
            yield line
    yield await shared_computations(url, vectors)


async def report(url: str, *, redisvl: bool) -> list[Line]:
    """Print each line as it is measured."""
    lines = []
    async for line in measure(url, redisvl=redisvl):
        verdict = {True: "pass", False: "FAIL", None: "----"}[line.passed]
        print(f"{verdict}  {line.work:46} {line.reach:>10}  {line.figure}", flush=True)
        lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="What the cache costs.")
    parser.add_argument("--redis-url", help="a Redis to measure against; it is written to")
    parser.add_argument("--without-redisvl", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = given.redis_url or stack.enter_context(valkey_on_loopback())
        lines = asyncio.run(report(url, redisvl=not given.without_redisvl))
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(line) for line in lines], indent=2) + "\n")
    sys.exit(any(line.passed is False for line in lines))


if __name__ == "__main__":
    main()
