"""The search's works, in an order in which each finds the table as it needs it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import asyncpg
from pgvector.asyncpg import register_vector

from benchmarks.bench import Bench
from benchmarks.limits.loopback import loopback
from benchmarks.results import Findings
from benchmarks.search.ef_search import ef_search_work
from benchmarks.search.inputs import TABLE, SearchBench, load_inputs, nearest_similarities
from benchmarks.search.peers import langchain_work, vecs_work
from benchmarks.search.searching import overhead_work, recall_work, threshold_work
from benchmarks.search.size import SIZES
from benchmarks.search.writing import build_work, insert_work, make_table, update_work
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
        inputs = await _described(prepared)
    return replace(Findings.joined(parts), inputs=inputs)


async def _described(bench: SearchBench) -> str:
    """The rows, and what holds them."""
    extension = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    server = await bench.raw.fetchval("SHOW server_version")
    pgvector = await bench.raw.fetchval(extension)
    rows = f"{len(bench.inputs.texts):,} {bench.inputs.origin} instructions"
    return f"{rows}; PostgreSQL {server} with pgvector {pgvector}"


def over_unix(dsn: str) -> bool:
    """Whether the server is reached by a unix socket, as libpq reads the address."""
    address = urlsplit(dsn)
    [host, *_] = parse_qs(address.query).get("host", [address.hostname or "/"])
    return host.startswith("/")


@contextlib.asynccontextmanager
async def _prepared(dsn: str, bench: Bench) -> AsyncIterator[SearchBench]:
    """Vectors, connections, and the table until the end."""
    size = SIZES[bench.size.name]
    inputs = await load_inputs(bench, size)
    truths = nearest_similarities(inputs.vectors, inputs.queries)
    raw = await asyncpg.connect(dsn)
    await make_table(raw)
    await register_vector(raw)
    with loopback(unix=over_unix(dsn)) as echo:
        async with await Database.connect(dsn) as db:
            yield SearchBench(size, inputs, truths, dsn, db, raw, echo, bench.stores)
    await raw.execute(f"DROP TABLE {TABLE}")
    await raw.close()
