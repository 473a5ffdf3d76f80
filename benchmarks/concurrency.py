"""Many callers at once: what they get in all, how long each waits, and how the event loop fares.

Every caller asks for one instruction after the other, each another one, past the cache; beside
bulk work one caller does, of instructions and of images. The precisions take turns.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.bench import Bench
from benchmarks.beside_bulk import image_waits_beside_bulk, waits_beside_bulk
from benchmarks.devices import RUNS_ON
from benchmarks.limits.peaks import Peaks, text_peaks
from benchmarks.quality import with_quality
from benchmarks.results import Findings, Row, Series, Unit
from benchmarks.size import SizeName
from benchmarks.spread import quartiles, tail_rank
from benchmarks.targets import ONE_IMAGE
from vla_embeddings.models import Artifact, Kind, Precision
from vla_embeddings.service import EmbeddingService

CALLERS = (1, 8, 64, 256)
TICK = 0.001

BULK: Mapping[Kind, int] = {"text": 1000, "image": 64}
"""Inputs of a bulk call that runs beside single ones."""
WHO: Mapping[Kind, str] = {"text": "1 caller", "image": ONE_IMAGE}
"""By what a row beside bulk work begins with."""


@dataclass(frozen=True, slots=True)
class ConcurrencySize:
    """How much is measured."""

    turns: int
    calls: int
    """Of all callers in one turn."""
    least: int
    """Of each caller at any rate, after a first one that does not count: with that one all begin
    at once."""
    beside: Mapping[Kind, int]
    """Calls of one turn beside bulk work."""

    def of_each(self, callers: int) -> int:
        """Calls of each of so many, without its first."""
        return max(self.least, -(-self.calls // callers))


SIZES: Mapping[SizeName, ConcurrencySize] = {
    "tiny": ConcurrencySize(1, 8, 1, {"text": 3, "image": 1}),
    "quick": ConcurrencySize(1, 80, 2, {"text": 10, "image": 3}),
    "full": ConcurrencySize(5, 500, 5, {"text": 60, "image": 8}),
    "long": ConcurrencySize(15, 2000, 8, {"text": 500, "image": 50}),
}


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of so many callers showed."""

    per_second: float
    waits: list[float]
    """Milliseconds of each call."""
    lags: list[float]
    """Milliseconds that the event loop is late in coming back to a task that sleeps."""


@dataclass(frozen=True, slots=True)
class Server:
    """One precision behind its service, and what its turns showed."""

    kind: Kind
    name: str
    precision: Precision
    service: EmbeddingService
    turns: dict[int, list[Turn]]
    """By the number of callers, of instructions alone."""
    waits: list[list[float]]
    """Milliseconds of single calls beside bulk work, turn by turn."""


def run(bench: Bench) -> Findings:
    """Many callers, and one beside bulk work: rates, waiting times, event loop lag."""
    size, most = SIZES[bench.size.name], CALLERS[-1]
    texts = bench.inputs.instructions[: most * (1 + size.of_each(most))]
    peaks = text_peaks(bench, texts, RUNS_ON[bench.device])
    servers = asyncio.run(_measure(bench, peaks))
    rows, series = peaks.rows(_rate(most), "/s"), []
    for each in servers:
        for row in _rows(each, size):
            rows.append(with_quality(row, bench, each.kind, each.precision))
            if row.unit == "/s":
                rows[-1] = peaks.shared(rows[-1], each.precision)
        if each.turns:
            rows += [_lag(each, callers, tail_rank(size.calls)) for callers in CALLERS]
            series += _series(each.name, each.turns, tail_rank(size.calls))
    return Findings(rows, [], [], series)


async def _measure(bench: Bench, peaks: Peaks) -> list[Server]:
    """All precisions in turns, each with every number of callers and beside bulk work."""
    texts, size = bench.inputs.instructions, SIZES[bench.size.name]
    async with AsyncExitStack() as stack:
        of_texts = [await _server(each, bench, stack) for each in bench.artifacts("text")]
        of_images = [await _server(each, bench, stack) for each in bench.artifacts("image")]
        everyone = [*of_texts, *of_images]
        advance = bench.track("concurrent callers", size.turns * (len(CALLERS) + 1))
        for turn in range(size.turns):
            forth = 1 if turn % 2 == 0 else -1
            peaks.measure()
            for callers in CALLERS:
                for each in of_texts[::forth]:
                    shown = await _turn(each.service, texts, callers, size.of_each(callers))
                    each.turns.setdefault(callers, []).append(shown)
                advance(1)
            for each in everyone[::forth]:
                each.waits.append(await _beside_bulk(each, bench))
            advance(1)
    return everyone


async def _server(artifact: Artifact, bench: Bench, stack: AsyncExitStack) -> Server:
    """One that is loaded, until the end."""
    service, manifest = await stack.enter_async_context(bench.service(artifact)), artifact.manifest
    if manifest.kind == "text":
        await service.batch_generate_embeddings(bench.inputs.instructions[:64])
    else:
        await service.get_image_embedding(bench.inputs.jpegs[0])
    name = bench.name_of(manifest.precision)
    return Server(manifest.kind, name, manifest.precision, service, {}, [])


async def _beside_bulk(server: Server, bench: Bench) -> list[float]:
    kind, inputs = server.kind, bench.inputs
    bulk, calls = BULK[kind], SIZES[bench.size.name].beside[kind]
    if kind == "text":
        return await waits_beside_bulk(server.service, inputs.instructions[:bulk], calls)
    return await image_waits_beside_bulk(server.service, inputs.jpegs[:bulk], calls)


async def _turn(service: EmbeddingService, texts: Sequence[str], callers: int, each: int) -> Turn:
    """So many calls of each, from when all have had the answer to a first one."""
    spans: list[list[tuple[float, float]]] = [[] for _ in range(callers)]

    async def call(caller: int) -> None:
        for number in range(caller * (each + 1), (caller + 1) * (each + 1)):
            start = time.perf_counter()
            await service.get_instruction_embedding(texts[number % len(texts)], use_cache=False)
            spans[caller].append((start, time.perf_counter()))

    lags: list[float] = []
    watcher = asyncio.create_task(_watch(lags))
    await asyncio.gather(*(call(caller) for caller in range(callers)))
    watcher.cancel()
    began = max(first for [(_, first), *_] in spans)
    calls = [span for [_, *later] in spans for span in later]
    ends = [end for _, end in calls]
    per_second = sum(end > began for end in ends) / (max(ends) - began)
    return Turn(per_second, [1e3 * (end - start) for start, end in calls], lags)


async def _watch(lags: list[float]) -> None:
    """Note how many milliseconds late each of many short sleeps ends."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(TICK)
        lags.append(1e3 * (time.perf_counter() - start - TICK))


def _rows(server: Server, size: ConcurrencySize) -> list[Row]:
    name, rows = server.name, list[Row]()
    for callers, turns in server.turns.items():
        rows.append(_row(_rate(callers), name, [turn.per_second for turn in turns], "/s"))
        waits = [turn.waits for turn in turns]
        rows += _waits(_who(callers), name, waits, tail_rank(size.calls))
    who = f"{WHO[server.kind]} beside bulk work"
    return [*rows, *_waits(who, name, server.waits, tail_rank(size.beside[server.kind]))]


def _waits(who: str, name: str, turns: Sequence[Sequence[float]], tail: int) -> list[Row]:
    return [
        _row(f"{who}: p{rank} of a call", name, _percentiles(turns, rank), "ms")
        for rank in (50, tail)
    ]


def _lag(server: Server, callers: int, tail: int) -> Row:
    lags = _percentiles([turn.lags for turn in server.turns[callers]], tail)
    row = _row(f"{_who(callers)}: event loop lag, p{tail}", server.name, lags, "ms")
    return replace(row, derived=True)


def _percentiles(turns: Sequence[Sequence[float]], rank: int) -> list[float]:
    """Of each turn; 0 where it was too short for any."""
    return [float(np.percentile(each, rank)) if each else 0.0 for each in turns]


def _row(work: str, name: str, values: list[float], unit: Unit) -> Row:
    return Row(work, name, quartiles(values), unit, turns=values)


def _rate(callers: int) -> str:
    return f"{_who(callers)}: instructions"


def _who(callers: int) -> str:
    return "1 caller" if callers == 1 else f"{callers} callers"


def _series(name: str, turns: Mapping[int, Sequence[Turn]], tail: int) -> list[Series]:
    def line(chart: str, unit: str, figures: Mapping[int, list[float]]) -> Series:
        spreads = {float(callers): quartiles(each) for callers, each in figures.items()}
        return Series.through(chart, name, "concurrent callers", unit, spreads)

    rates = {callers: [turn.per_second for turn in each] for callers, each in turns.items()}
    waits = {
        callers: _percentiles([turn.waits for turn in each], tail)
        for callers, each in turns.items()
    }
    return [
        line("concurrency-throughput", "instructions a second", rates),
        line("concurrency-latency", f"p{tail}, ms", waits),
    ]
