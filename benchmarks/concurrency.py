"""Many callers at once: what they get in all, how long each waits, and how the event loop fares.

Every caller asks for one instruction after the other, each another one, past the cache. The
precisions take turns.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.bench import Bench
from benchmarks.beside_bulk import waits_beside_bulk
from benchmarks.devices import RUNS_ON
from benchmarks.limits.peaks import Peaks, text_peaks
from benchmarks.quality import with_quality
from benchmarks.results import Findings, Row, Series, Unit
from benchmarks.size import SizeName
from benchmarks.spread import quartiles
from vla_embeddings.models import Precision
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


@dataclass(frozen=True, slots=True)
class Server:
    """One precision behind its service, and what its turns showed."""

    name: str
    precision: Precision
    service: EmbeddingService
    turns: dict[int, list[Turn]]
    """By the number of callers."""
    waits: list[list[float]]
    """Milliseconds of single calls beside bulk work, turn by turn."""


def run(bench: Bench) -> Findings:
    """Many concurrent callers: instructions a second, waiting times, event loop lag."""
    count = max(SIZES[bench.size.name].calls, CALLERS[-1])
    peaks = text_peaks(bench, bench.inputs.instructions[:count], RUNS_ON[bench.device])
    servers = asyncio.run(_measure(bench, peaks))
    rows, series = peaks.rows(_rate(CALLERS[-1]), "/s"), []
    for each in servers:
        for row in _rows(each):
            rows.append(with_quality(row, bench, "text", each.precision))
            if row.unit == "/s":
                rows[-1] = peaks.shared(rows[-1], each.precision)
        rows += [_lag(each, callers) for callers in CALLERS]
        series += _series(each.name, each.turns)
    return Findings(rows, [], [], series)


async def _measure(bench: Bench, peaks: Peaks) -> list[Server]:
    """All precisions in turns, each with every number of callers and beside bulk work."""
    texts, size = bench.inputs.instructions, SIZES[bench.size.name]
    async with AsyncExitStack() as stack:
        servers = []
        for artifact in bench.artifacts("text"):
            service = await stack.enter_async_context(bench.service(artifact))
            await service.batch_generate_embeddings(texts[:64])
            precision = artifact.manifest.precision
            empty: dict[int, list[Turn]] = {callers: [] for callers in CALLERS}
            servers.append(Server(bench.name_of(precision), precision, service, empty, []))
        advance = bench.track("concurrent callers", size.turns * (len(CALLERS) + 1))
        for turn in range(size.turns):
            order = servers if turn % 2 == 0 else servers[::-1]
            peaks.measure()
            for callers in CALLERS:
                for each in order:
                    shown = await _turn(each.service, texts, callers, size.calls)
                    each.turns[callers].append(shown)
                advance(1)
            for each in order:
                calls = max(1, size.calls // 3)
                each.waits.append(await waits_beside_bulk(each.service, texts[:BULK], calls))
            advance(1)
    return servers


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


def _rows(server: Server) -> list[Row]:
    name, rows = server.name, list[Row]()
    for callers, turns in server.turns.items():
        rows += [
            _row(_rate(callers), name, [turn.per_second for turn in turns], "/s"),
            _row(f"{_who(callers)}: p50 of a call", name, [turn.p50 for turn in turns], "ms"),
            _row(f"{_who(callers)}: p99 of a call", name, [turn.p99 for turn in turns], "ms"),
        ]
    for percent in (50, 99):
        waits = [float(np.percentile(each, percent)) for each in server.waits]
        rows.append(_row(f"1 caller beside bulk work: p{percent} of a call", name, waits, "ms"))
    return rows


def _lag(server: Server, callers: int) -> Row:
    lags = [turn.lag for turn in server.turns[callers]]
    row = _row(f"{_who(callers)}: event loop lag, p99", server.name, lags, "ms")
    return replace(row, derived=True)


def _row(work: str, name: str, values: list[float], unit: Unit) -> Row:
    return Row(work, name, quartiles(values), unit, turns=values)


def _rate(callers: int) -> str:
    return f"{_who(callers)}: instructions"


def _who(callers: int) -> str:
    return "1 caller" if callers == 1 else f"{callers} callers"


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
