"""What a call waits where Redis is down: a port that is closed, and one that never answers."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import numpy as np

from benchmarks.cache.size import CacheSize
from benchmarks.results import Findings, Row, Series, Verdict
from benchmarks.spread import quartiles, tail_rank
from benchmarks.turns import OURS, seconds
from vla_embeddings.cache import EmbeddingCache

FIRST_MS = 60
LATER_MS = 1
PAUSE = 0.001
CHARTED = 60
TURNS = 5
"""Caches, each of which finds out by itself."""
KEY = "instruction:a"


async def down(url: str, size: CacheSize) -> Findings:
    """Both faults, and the calls of a Redis that is well beside them."""
    closed = await _fault("Redis's port is closed", f"redis://127.0.0.1:{free_port()}", size)
    with silent_port() as address:
        silent = await _fault("Redis never answers", address, size)
    return Findings.joined([closed, silent, await _well(url)])


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextlib.contextmanager
def silent_port() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


async def _fault(work: str, url: str, size: CacheSize) -> Findings:
    """The first call, those until the breaker opens, and the slowest of those after."""
    firsts, each = [], -(-size.calls_down // TURNS)
    seen: list[list[float]] = []
    later: list[list[float]] = []
    for _ in range(TURNS):
        async with EmbeddingCache(url, memory_entries=0) as cache:
            opening = [await _call(cache)]
            while (await cache.get_stats())["breaker"] == "closed":
                opening.append(await _call(cache))
            firsts.append(opening[0])
            later.append([await _call(cache) for _ in range(each)])
            seen.append([*opening, *later[-1]])
    first, tail = quartiles(firsts), tail_rank(each)
    last = quartiles([float(np.percentile(calls, tail)) for calls in later])
    medians = [float(np.median(calls)) for calls in later]
    slowest = f"{work}: later calls, p{tail}"
    return Findings(
        [
            Row(f"{work}: first call", OURS, first, "ms", turns=firsts),
            Row(f"{work}: later calls", OURS, quartiles(medians), "ms", turns=medians),
        ],
        [
            Verdict(f"{work}: first call", OURS, None, first, "ms", FIRST_MS, at_most=True),
            Verdict(slowest, OURS, None, last, "ms", LATER_MS, at_most=True),
        ],
        [],
        [_line(work, seen)],
    )


async def _well(url: str) -> Findings:
    """Of a vector that is there."""
    seen = []
    for _ in range(TURNS):
        async with EmbeddingCache(url, memory_entries=0) as cache:
            await cache.set_embedding(KEY, np.ones(384, np.float32))
        async with EmbeddingCache(url, memory_entries=0) as cache:  # whose first call connects
            seen.append([await _call(cache) for _ in range(CHARTED)])
    return Findings([], [], [], [_line("Redis answers", seen)])


async def _call(cache: EmbeddingCache) -> float:
    """Milliseconds of a look-up, a moment after the one before."""
    await asyncio.sleep(PAUSE)
    return 1e3 * await seconds(cache.get_embedding(KEY))


def _line(subject: str, seen: list[list[float]]) -> Series:
    """For each call its median over the caches: of one, another at work would be taken for it."""
    calls = list(zip(*seen, strict=False))[:CHARTED]
    spreads = {float(number): quartiles(alike) for number, alike in enumerate(calls, start=1)}
    return Series.through("cache-faults", subject, "call", "ms", spreads)
