"""How much of the encoder's speed is left when rows are read and vectors written beside it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping

from benchmarks.bench import Bench
from benchmarks.database import own_database
from benchmarks.devices import USUAL
from benchmarks.harness import SETTLE_SECONDS, Timings
from benchmarks.limits.peaks import Peaks, text_peaks
from benchmarks.quality import with_quality
from benchmarks.results import Findings, Row, Verdict
from benchmarks.size import SizeName
from benchmarks.spread import Spread
from vla_embeddings import EmbeddingService
from vla_embeddings.backfill import backfill
from vla_embeddings.search import Database

ROWS: Mapping[SizeName, int] = {"tiny": 8, "quick": 100, "full": 500, "long": 2000}
"""Of one turn: its first rows are read, and its last ones written, while nothing is embedded."""

MIN_SHARE = 0.9
"""Of the encoder's own batch throughput."""

TABLE = "instruction_analytics"

Embed = Callable[[list[str]], Awaitable[None]]


def run(bench: Bench) -> Findings:
    """Embed chunks of instructions, alone and from a table into it, in turns."""
    precision = USUAL[bench.device]
    peaks = text_peaks(bench, [text for chunk in _chunks(bench) for text in chunk], [precision])
    encoder, ours = asyncio.run(_measure(bench, peaks))
    work = f"{len(ours.turns) * ROWS[bench.size.name]:,} instructions"
    speeds = [
        peaks.shared(with_quality(_row(work, each), bench, "text", precision), precision)
        for each in (ours, encoder)
    ]
    speeds += peaks.rows(work, "/s")
    share = encoder.times_of(ours)
    verdict = Verdict(work, ours.name, encoder.name, share, "x", MIN_SHARE, at_most=False)
    return Findings(speeds, [verdict], [])


async def _measure(bench: Bench, peaks: Peaks) -> tuple[Timings, Timings]:
    taken: dict[str, list[tuple[float]]] = {"encoder alone": [], "ours, backfill": []}
    advance = bench.track("backfill", 2 * bench.size.throughput_turns)
    async with (
        own_database() as db,
        bench.service(bench.usual("text")) as service,
    ):
        works = dict(zip(taken, (_alone(service), _from_a_table(db, service)), strict=True))
        await _alone(service)(next(_chunks(bench)))  # loads the model
        for number, texts in enumerate(_chunks(bench)):
            await _refill(db, texts)
            peaks.measure()
            for name in works if number % 2 == 0 else reversed(works):
                await asyncio.sleep(SETTLE_SECONDS)
                start = time.perf_counter()
                await works[name](texts)
                taken[name].append(((time.perf_counter() - start) / len(texts),))
                advance(1)
    encoder, ours = (Timings(name, tuple(turns)) for name, turns in taken.items())
    return encoder, ours


def _chunks(bench: Bench) -> Iterator[list[str]]:
    size = ROWS[bench.size.name]
    for turn in range(bench.size.throughput_turns):
        yield bench.inputs.instructions[turn * size : (turn + 1) * size]


def _alone(service: EmbeddingService) -> Embed:
    async def embed(texts: list[str]) -> None:
        await service.batch_generate_embeddings(texts=texts, use_cache=False)

    return embed


def _from_a_table(db: Database, service: EmbeddingService) -> Embed:
    async def embed(texts: list[str]) -> None:
        report = await backfill(
            db,
            service,
            table=TABLE,
            source_column="instruction",
            embedding_column="instruction_embedding",
            index=False,
        )
        assert (report.embedded, report.left) == (len(texts), 0), report

    return embed


async def _refill(db: Database, texts: list[str]) -> None:
    """These rows and no others, without vectors, as a vacuumed table has them."""
    await db.pool.execute(f"TRUNCATE {TABLE}")
    await db.pool.execute(f"INSERT INTO {TABLE} (instruction) SELECT unnest($1::text[])", texts)
    await db.pool.execute(f"VACUUM ANALYZE {TABLE}")


def _row(work: str, timings: Timings) -> Row:
    turns = [1 / seconds for seconds in timings.medians]
    figure = _per_second(timings.overall)
    return Row(work, timings.name, figure, "/s", role="ours", turns=turns)


def _per_second(seconds: Spread) -> Spread:
    return Spread(1 / seconds.high, 1 / seconds.median, 1 / seconds.low)
