"""Many callers at once: what they get in all, how long each waits, and how the event loop fares.

Every caller asks for one instruction after the other, each another one, past the cache.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.bench import Bench
from benchmarks.beside_bulk import beside_bulk
from benchmarks.results import Findings, Row, Series, Unit
from benchmarks.size import SizeName
from benchmarks.spread import quartiles
from vla_embeddings.models import Artifact
from vla_embeddings.service import EmbeddingService

CALLERS = (1, 4, 16, 64, 256)
TICK = 0.001

BULK = 1000
"""Texts of a bulk call that runs beside single ones."""


@dataclass(frozen=True, slots=True)
class ConcurrencySize:
    """How much is measured."""

    turns: int
    calls: int
    """Of all callers in one turn; each makes at least one."""


SIZES: Mapping[SizeName, ConcurrencySize] = {
    "tiny": ConcurrencySize(1, 8),
    "quick": ConcurrencySize(1, 80),
    "full": ConcurrencySize(5, 300),
    "long": ConcurrencySize(15, 2000),
}


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of so many callers showed."""

    per_second: float
    p50: float
    """Milliseconds of a call; so are the others."""
    p99: float
    lag: float
    """99th percentile of how late the event loop comes back to a task that sleeps."""


def run(bench: Bench) -> Findings:
    """Many concurrent callers: instructions a second, waiting times, event loop lag."""
    return Findings.joined(_of(artifact, bench) for artifact in bench.artifacts("text"))


def _of(artifact: Artifact, bench: Bench) -> Findings:
    name, size = bench.name_of(artifact.manifest.precision), SIZES[bench.size.name]
    advance = bench.track(f"concurrent callers, {name}", size.turns * len(CALLERS))
    turns: dict[int, list[Turn]] = {callers: [] for callers in CALLERS}

    async def measure() -> list[Row]:
        async with bench.service(artifact) as service:
            await service.batch_generate_embeddings(bench.inputs.instructions[:64])
            for _ in range(size.turns):
                for callers in CALLERS:
                    turns[callers].append(
                        await _turn(service, bench.inputs.instructions, callers, size.calls)
                    )
                    advance(1)
            texts = bench.inputs.instructions[:BULK]
            calls = max(1, size.calls // 3)
            return await beside_bulk(service, name, texts, turns=size.turns, calls=calls)

    beside = asyncio.run(measure())
    rows = [row for callers in CALLERS for row in _rows(name, callers, turns[callers])]
    return Findings([*rows, *beside], [], [], _series(name, turns))


async def _turn(service: EmbeddingService, texts: Sequence[str], callers: int, calls: int) -> Turn:
    each = max(1, calls // callers)
    waits: list[float] = []

    async def call(caller: int) -> None:
        for number in range(caller * each, (caller + 1) * each):
            start = time.perf_counter()
            await service.get_instruction_embedding(texts[number % len(texts)], use_cache=False)
            waits.append(1e3 * (time.perf_counter() - start))

    lags: list[float] = []
    watcher = asyncio.create_task(_watch(lags))
    start = time.perf_counter()
    await asyncio.gather(*(call(caller) for caller in range(callers)))
    seconds = time.perf_counter() - start
    watcher.cancel()
    p50, p99 = np.percentile(waits, (50, 99))
    lag = float(np.percentile(lags, 99)) if lags else 0.0
    return Turn(len(waits) / seconds, float(p50), float(p99), lag)


async def _watch(lags: list[float]) -> None:
    """Note how many milliseconds late each of many short sleeps ends."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(TICK)
        lags.append(1e3 * (time.perf_counter() - start - TICK))


def _rows(name: str, callers: int, turns: Sequence[Turn]) -> list[Row]:
    who = "1 caller" if callers == 1 else f"{callers} callers"
    figures: Sequence[tuple[str, list[float], Unit]] = (
        (f"{who}: instructions", [turn.per_second for turn in turns], "/s"),
        (f"{who}: p50 of a call", [turn.p50 for turn in turns], "ms"),
        (f"{who}: p99 of a call", [turn.p99 for turn in turns], "ms"),
        (f"{who}: event loop lag, p99", [turn.lag for turn in turns], "ms"),
    )
    return [
        Row(work, name, quartiles(values), unit, turns=values) for work, values, unit in figures
    ]


def _series(name: str, turns: Mapping[int, Sequence[Turn]]) -> list[Series]:
    def line(chart: str, unit: str, figures: Mapping[int, list[float]]) -> Series:
        points = [(float(callers), float(np.median(each))) for callers, each in figures.items()]
        return Series(chart, name, "concurrent callers", unit, points)

    rates = {callers: [turn.per_second for turn in each] for callers, each in turns.items()}
    waits = {callers: [turn.p99 for turn in each] for callers, each in turns.items()}
    return [
        line("concurrency-throughput", "instructions a second", rates),
        line("concurrency-latency", "p99, ms", waits),
    ]
