"""Whether every accepted vector is stored, though the database is gone for a while."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import numpy as np

from benchmarks.bench import Bench
from benchmarks.database import own_database
from benchmarks.results import Findings, Row, Verdict
from benchmarks.spread import exactly
from vla_embeddings import EmbeddingService
from vla_embeddings.inference import Inference
from vla_embeddings.inference.consent import Consent
from vla_embeddings.inference.recorder import Recorder
from vla_embeddings.inference.writer import Writer
from vla_embeddings.search import Database

FLUSH_SECONDS = 30.0
CUSTOMER = "customer_123"


def run(bench: Bench) -> Findings:
    """Accept vectors, take the database away in the middle, and shut down in order."""
    count, away = bench.size.recorded, bench.size.outage_seconds
    with _quiet():
        stored, seconds = asyncio.run(_record(bench, count, away))
    work = f"{count:,} accepted vectors, the database gone for {away:g} s"
    return Findings(
        [Row(work, "ours, shutdown once it is back", exactly(seconds), "s", turns=[seconds])],
        [Verdict(work, "ours, share stored", None, exactly(stored / count), "", 1, at_most=False)],
        [],
        inputs="random vectors",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that vectors wait, since that is what this is about."""
    logger = logging.getLogger("vla_embeddings.inference")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


async def _record(bench: Bench, count: int, away: float) -> tuple[int, float]:
    """How many were stored, and the seconds of the shutdown."""
    async with (
        own_database() as db,
        bench.service(bench.usual("text")) as service,
    ):
        await db.pool.execute(
            f"INSERT INTO instruction_analytics (id) SELECT generate_series(0, {count - 1})"
        )
        recorder = _recorder(service, db)
        recorder.start()
        _accept(recorder, range(count * 2 // 5))
        async with _gone(db):
            _accept(recorder, range(count * 2 // 5, count))
            await asyncio.sleep(away)
        started = time.perf_counter()
        await recorder.flush(seconds=FLUSH_SECONDS)
        seconds = time.perf_counter() - started
        stored = await db.pool.fetchval(
            "SELECT count(instruction_embedding) FROM instruction_analytics"
        )
    return stored, seconds


def _recorder(service: EmbeddingService, db: Database) -> Recorder:
    async def agreed(customer_id: str) -> bool:
        return True

    writer = Writer(service, db, Consent(agreed, ttl=30.0))
    return Recorder(writer, queue_rows=20_000, on_lost=None)


def _accept(recorder: Recorder, ids: range) -> None:
    vectors = np.random.default_rng(0).standard_normal((len(ids), 384), np.float32)
    for number, vector in zip(ids, vectors, strict=True):
        inference = Inference(number, CUSTOMER, None)
        recorder.accept(inference, "instruction", vector, agreed=True)


@asynccontextmanager
async def _gone(db: Database) -> AsyncIterator[None]:
    """As a stopped server looks to its clients: connections end, and none can be made."""
    socket = Path(parse_qs(urlsplit(db.address).query)["host"][0], ".s.PGSQL.5432")
    hidden = socket.with_name("hidden")
    killer = await asyncpg.connect(db.address)
    os.rename(socket, hidden)
    await killer.execute(
        "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    try:
        yield
    finally:
        os.rename(hidden, socket)
        await killer.close()
