"""The search's works, in an order in which each finds the table as it needs it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
from pgvector.asyncpg import register_vector

from benchmarks.bench import Bench
from benchmarks.results import Findings
from benchmarks.search.ef_search import ef_search_work
from benchmarks.search.inputs import SearchBench, load_inputs
from benchmarks.search.peers import langchain_work, vecs_work
from benchmarks.search.searching import overhead_work, recall_work, threshold_work
from benchmarks.search.size import SIZES
from benchmarks.search.writing import TABLE, build_work, insert_work, make_table, update_work
from vla_embeddings.local import LocalPostgres
from vla_embeddings.search import Database

WORKS = (
    insert_work,
    update_work,
    build_work,
    overhead_work,
    recall_work,
    ef_search_work,
    threshold_work,
    vecs_work,
    langchain_work,
)


def run(bench: Bench) -> Findings:
    """Search and writes with pgvector, beside asyncpg, vecs and langchain-postgres."""
    with contextlib.ExitStack() as stack:
        dsn = bench.database_url or stack.enter_context(LocalPostgres()).dsn
        return asyncio.run(_measure(dsn, bench))


async def _measure(dsn: str, bench: Bench) -> Findings:
    async with _prepared(dsn, bench) as prepared:
        advance, parts = bench.track("search", len(WORKS)), []
        for work in WORKS:
            parts.append(await work(prepared))
            advance(1)
    return Findings.joined(parts)


@contextlib.asynccontextmanager
async def _prepared(dsn: str, bench: Bench) -> AsyncIterator[SearchBench]:
    """Vectors, connections, and the table until the end."""
    size = SIZES[bench.size.name]
    inputs = await load_inputs(bench, size)
    raw = await asyncpg.connect(dsn)
    await make_table(raw)
    await register_vector(raw)
    async with await Database.connect(dsn) as db:
        yield SearchBench(size, inputs, dsn, db, raw, bench.stores)
    await raw.execute(f"DROP TABLE {TABLE}")
    await raw.close()
