"""What search costs and finds, beside asyncpg, PostgreSQL's defaults and other libraries.

    .venv/bin/python -m benchmarks.search [--database-url URL] [--without-peers] [--quick]
                                          [--json FILE]

All contenders of a work take turns (A B A B ...) on the same server: an embedded PostgreSQL, or
the one at --database-url. The vectors are MiniLM's of 50,000 instructions, real ones where they
are at hand; they are made once, in minutes, and kept in .artifacts/bench-search. The other
libraries run in a process and a virtual environment of their own, .artifacts/bench-peers-search.
"""

import argparse
import asyncio
import contextlib
import gzip
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray
from pgvector import Vector as PgVector
from pgvector.asyncpg import register_vector
from rich.progress import Progress

from benchmarks.inputs import DATA
from benchmarks.machine import REPOSITORY, describe_machine
from benchmarks.report import describe, grids
from benchmarks.results import Absence, Findings, Result, Row, Verdict
from benchmarks.spread import Spread, median_interval, quartiles
from vla_embeddings import EmbeddingService
from vla_embeddings.cli.output import progress_bars, stdout
from vla_embeddings.config import embedding_config
from vla_embeddings.export import ensure_exported
from vla_embeddings.local import LocalPostgres
from vla_embeddings.models import MINILM, ArtifactStore
from vla_embeddings.samples import make_instructions
from vla_embeddings.search import (
    Database,
    batch_index_embeddings,
    cosine_similarity_search,
    create_hnsw_index,
    drop_index,
    insert_embeddings,
)
from vla_embeddings.search.catalog import resolve
from vla_embeddings.search.handles import Connection
from vla_embeddings.search.metric import COSINE
from vla_embeddings.search.statement import Nearest
from vla_embeddings.search.tuning import search_settings

ARTIFACTS = REPOSITORY / ".artifacts"
PEERS = ("langchain-postgres==0.0.19", "vecs==0.4.5")
OURS = "ours"
TOP_K = 10
BUCKETS = 1000  # rows of one bucket are 0.1 % of all

Vectors = NDArray[np.float32]
Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    texts: int
    queries: int
    written: int
    write_turns: int
    builds: int
    peer_rows: int
    peer_turns: int


FULL = Size(50_000, 200, 20_000, 11, 3, 4000, 5)
QUICK = Size(3000, 30, 1000, 3, 1, 200, 2)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Texts with their unit vectors (n, 384), and the vectors of other texts to ask for."""

    texts: list[str]
    vectors: Vectors
    queries: Vectors
    origin: str
    weights: str

    def rows(self, count: int) -> list[dict[str, object]]:
        """The first `count` as rows of the table."""
        return [
            {"instruction": text, "bucket": number % BUCKETS, "embedding": vector}
            for number, (text, vector) in enumerate(
                zip(self.texts[:count], self.vectors, strict=False)
            )
        ]


@dataclass(frozen=True, slots=True)
class Bench:
    """What every work is given; `raw` has pgvector's codec, as its README advises."""

    size: Size
    inputs: Inputs
    dsn: str
    db: Database
    raw: asyncpg.Connection


# --- Inputs ---------------------------------------------------------------------------------


async def load_inputs(size: Size, progress: Progress) -> Inputs:
    """Embed the texts, or read what an earlier run embedded."""
    texts, origin = _texts(size.texts)
    store = ArtifactStore(embedding_config.models_dir)
    ensure_exported(MINILM, ["fp32"], store)
    manifest = store.open(MINILM, "fp32").manifest
    graph = next(each.sha256 for name, each in manifest.files.items() if name.endswith(".onnx"))
    file = ARTIFACTS / "bench-search" / f"{origin.split()[0]}-{len(texts)}-{graph[:16]}.npy"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, await _embedded(texts, progress))
    vectors = np.load(file)
    held = len(texts) - size.queries
    return Inputs(texts[:held], vectors[:held], vectors[held:], origin, manifest.weights)


def _texts(count: int) -> tuple[list[str], str]:
    if not DATA.is_dir():
        return make_instructions(count), "generated instructions"
    with gzip.open(DATA / "instructions.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [str(json.loads(line)["text"]) for line in file]
    order = np.random.default_rng(0).permutation(len(texts))[:count]
    return [texts[place] for place in order], "real robot instructions"


async def _embedded(texts: list[str], progress: Progress) -> Vectors:
    config = embedding_config.model_copy(update={"precision": "fp32"})
    task, parts = progress.add_task("embedding the texts", total=len(texts)), []
    async with EmbeddingService(device="cpu", config=config) as service:
        for start in range(0, len(texts), 1000):
            chunk = texts[start : start + 1000]
            parts.append((await service.batch_generate_embeddings(chunk))["text_embeddings"])
            progress.advance(task, len(chunk))
    progress.remove_task(task)
    return np.concatenate(parts)


# --- Measuring ------------------------------------------------------------------------------


async def seconds(call: Awaitable[object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    await call
    return time.perf_counter() - start


async def in_turns(works: Mapping[str, Work], turns: int, before: Work) -> dict[str, list[float]]:
    """Seconds of all, A B A B; `before` each, untimed; the first turn warms up and is dropped."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns + 1):
        for name, work in works.items():
            await before()
            times[name].append(await seconds(work()))
    return {name: each[1:] for name, each in times.items()}


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The median over the turns of how many times `below` it is."""
    return median_interval([a / b for a, b in zip(above, below, strict=True)])


def rates(work: str, times: Mapping[str, Sequence[float]], rows: int) -> list[Row]:
    """Rows a second of every contender."""
    return [
        Row(work, name, quartiles([rows / each for each in taken]), "/s")
        for name, taken in times.items()
    ]


def latencies(work: str, times: Mapping[str, Sequence[float]]) -> list[Row]:
    """Milliseconds of every contender."""
    return [
        Row(work, name, quartiles([1e3 * each for each in taken]), "ms")
        for name, taken in times.items()
    ]


# --- The table ------------------------------------------------------------------------------

TABLE = "search_benchmark"


async def make_table(raw: asyncpg.Connection) -> None:
    """Empty; no index on `bucket`, so that only the vector index can serve a filter."""
    await raw.execute(
        f"CREATE EXTENSION IF NOT EXISTS vector; DROP TABLE IF EXISTS {TABLE}; "
        f"CREATE TABLE {TABLE} (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, "
        "instruction text, bucket integer, embedding vector(384))"
    )


async def insert_work(bench: Bench) -> Findings:
    """`insert_embeddings` beside COPY through asyncpg and pgvector's codec."""
    work, count = "insert new rows, no index", bench.size.written
    rows = bench.inputs.rows(count)
    fields = ("instruction", "bucket", "embedding")

    async def empty() -> None:
        await bench.raw.execute(f"TRUNCATE {TABLE} RESTART IDENTITY; CHECKPOINT")

    async def copy() -> None:
        records = (tuple(row[field] for field in fields) for row in rows)
        await bench.raw.copy_records_to_table(TABLE, columns=fields, records=records)

    async def ours() -> None:
        assert await insert_embeddings(bench.db, TABLE, "embedding", rows) == count

    copy_name = "asyncpg copy_records_to_table"
    times = await in_turns({OURS: ours, copy_name: copy}, bench.size.write_turns, empty)
    share = ratio(times[copy_name], times[OURS])
    verdict = Verdict(work, OURS, copy_name, share, "x", 0.7, at_most=False)
    return Findings(rates(work, times, count), [verdict], [])


async def update_work(bench: Bench) -> Findings:
    """`batch_index_embeddings` of the rows there are beside three ways through asyncpg."""
    work, vectors = "store vectors in rows that exist, no index", bench.inputs.vectors
    count, raw = bench.size.written, bench.raw
    ids = list(range(1, count + 1))
    items = [{"id": row_id, "embedding": vectors[row_id - 1]} for row_id in ids]

    async def vacuum() -> None:
        await raw.execute(f"VACUUM {TABLE}")
        await raw.execute("CHECKPOINT")

    async def executemany() -> None:
        pairs = list(zip(ids, vectors[:count], strict=True))
        await raw.executemany(f"UPDATE {TABLE} SET embedding = $2 WHERE id = $1", pairs)

    async def unnest() -> None:
        for start in range(0, count, 2000):
            part = slice(start, start + 2000)
            await raw.execute(
                f"UPDATE {TABLE} AS t SET embedding = given.e "
                "FROM unnest($1::bigint[], $2::vector[]) AS given(id, e) WHERE t.id = given.id",
                ids[part],
                [PgVector(vector) for vector in vectors[:count][part]],
            )

    async def staging() -> None:
        async with raw.transaction():
            await raw.execute("CREATE TEMP TABLE s (id bigint, e vector) ON COMMIT DROP")
            pairs = zip(ids, vectors[:count], strict=True)
            await raw.copy_records_to_table("s", records=pairs)
            await raw.execute(f"UPDATE {TABLE} t SET embedding = s.e FROM s WHERE t.id = s.id")

    async def ours() -> None:
        changed = await batch_index_embeddings(bench.db, TABLE, "id", "embedding", items)
        assert changed == count

    theirs: dict[str, Work] = {
        "asyncpg executemany": executemany,
        "asyncpg unnest, 2,000 at a time": unnest,
        "asyncpg COPY and UPDATE FROM": staging,
    }
    times = await in_turns({OURS: ours, **theirs}, bench.size.write_turns, vacuum)
    best = min(theirs, key=lambda name: float(np.median(times[name])))
    bounds = (("asyncpg executemany", 1.3), (best, 0.7))
    verdicts = [
        Verdict(work, OURS, name, ratio(times[name], times[OURS]), "x", bound, at_most=False)
        for name, bound in bounds
    ]
    return Findings(rates(work, times, count), verdicts, [])


async def build_work(bench: Bench) -> Findings:
    """`create_hnsw_index` at its defaults beside CREATE INDEX at PostgreSQL's."""
    work, notices = "build an HNSW index", 0
    await bench.raw.execute(f"TRUNCATE {TABLE} RESTART IDENTITY")
    rows = bench.inputs.rows(len(bench.inputs.texts))
    await insert_embeddings(bench.db, TABLE, "embedding", rows)
    await bench.raw.execute(f"VACUUM ANALYZE {TABLE}")

    def count_notice(_: object, message: Any) -> None:
        nonlocal notices
        notices += "no longer fits" in str(message)

    async def drop() -> None:
        await bench.raw.execute("DROP INDEX IF EXISTS plain")
        with contextlib.suppress(LookupError):
            await drop_index(bench.db, f"{TABLE}_embedding_hnsw_cosine_idx")

    async def plain() -> None:
        await bench.raw.execute(
            f"CREATE INDEX plain ON {TABLE} USING hnsw (embedding vector_cosine_ops) "
            "WITH (m = 16, ef_construction = 64)"
        )

    async with bench.db.pool.acquire() as connection:
        connection.add_log_listener(count_notice)

        async def ours() -> None:
            await create_hnsw_index(connection, TABLE, "embedding")

        default = "CREATE INDEX, default settings"
        works: dict[str, Work] = {default: plain, OURS: ours}
        times = await in_turns(works, bench.size.builds, drop)
        connection.remove_log_listener(count_notice)
    figures = [Row(work, name, quartiles(each), "s") for name, each in times.items()]
    outgrown = Spread(notices, notices, notices)
    return Findings(
        figures,
        [
            Verdict(work, OURS, default, ratio(times[default], times[OURS]), "x", 1, False),
            Verdict("builds of ours that outgrew their memory", OURS, None, outgrown, "", 0, True),
        ],
        [],
    )


# --- Searching, with the index that `build_work` leaves --------------------------------------


async def overhead_work(bench: Bench) -> Findings:
    """`cosine_similarity_search` beside asyncpg's `fetch` of the statement it sends."""
    work, fetch = f"top {TOP_K} by HNSW", "asyncpg fetch, same SQL"
    times: dict[str, list[float]] = {OURS: [], fetch: []}
    async with bench.db.pool.acquire() as connection:
        for query in bench.inputs.queries:
            sql, values = await _statement(connection, query)
            await connection.fetch(sql, *values)  # what it reads is then in memory for both
            times[OURS].append(await seconds(_search(connection, query)))
            times[fetch].append(await seconds(connection.fetch(sql, *values)))
    added = [1e3 * (ours - raw) for ours, raw in zip(times[OURS], times[fetch], strict=True)]
    verdict = Verdict(
        f"{work}, added to it", OURS, fetch, median_interval(added), "ms", 0.2, at_most=True
    )
    return Findings(latencies(work, times), [verdict], [])


async def _search(db: Any, query: Vectors, **options: Any) -> list[dict[str, Any]]:
    given = {"top_k": TOP_K, "threshold": -1.0, **options}
    return await cosine_similarity_search(db, TABLE, "embedding", query, **given)


async def _statement(connection: Connection, query: Vectors) -> tuple[str, list[Any]]:
    table = await resolve(connection, TABLE)
    columns = tuple(column for column in table.columns.values() if not column.vector_type)
    nearest = Nearest(table, table.column("embedding"), COSINE, query, TOP_K, None, columns)
    settings = search_settings(
        nearest.indexes, table.extension, top_k=TOP_K, ef_search=None, probes=None
    )
    sql, parameters = nearest.indexed(settings)
    return sql, parameters.values


async def recall_work(bench: Bench) -> Findings:
    """Recall by distance at the defaults, and what filters leave of it."""
    buckets = np.arange(len(bench.inputs.vectors)) % BUCKETS
    verdicts = []
    for work, kept in (("no filter", None), ("1 % pass a filter", 10), ("0.1 % pass it", 1)):
        filters = None if kept is None else {"bucket": {"lt": kept}}
        matching = bench.inputs.vectors[buckets < (kept or BUCKETS)]
        recalls, lengths = [], []
        for query in bench.inputs.queries:
            truth = np.sort(matching @ query)[::-1][:TOP_K]
            found = await _search(bench.db, query, filters=filters)
            hits = sum(row["similarity"] >= truth[-1] - 1e-6 for row in found)
            recalls.append(hits / len(truth))
            lengths.append(len(found) / len(truth))
        recall = Spread(min(recalls), float(np.mean(recalls)), max(recalls))
        length = Spread(min(lengths), min(lengths), min(lengths))
        verdicts += [
            Verdict(f"recall@{TOP_K}, {work}", OURS, None, recall, "", 0.98, at_most=False),
            Verdict(f"shortest list, {work}", OURS, None, length, "", 1, at_most=False),
        ]
    return Findings([], verdicts, [])


async def threshold_work(bench: Bench) -> Findings:
    """A threshold that three rows reach, beside the same in WHERE with an iterative scan."""
    work, in_where = "threshold that 3 rows reach", "threshold in WHERE"
    times: dict[str, list[float]] = {OURS: [], in_where: []}
    await bench.raw.execute("SET hnsw.ef_search = 100; SET hnsw.iterative_scan = relaxed_order")
    for query in bench.inputs.queries[: bench.size.queries // 4]:
        nearest = np.sort(bench.inputs.vectors @ query)[::-1]
        threshold = float(nearest[2] + nearest[3]) / 2
        sql = (
            f"SELECT id, instruction, 1 - (embedding <=> $1) AS similarity FROM {TABLE} "
            f"WHERE embedding <=> $1 <= {1 - threshold!r} ORDER BY embedding <=> $1 LIMIT {TOP_K}"
        )
        times[OURS].append(await seconds(_search(bench.db, query, threshold=threshold)))
        times[in_where].append(await seconds(bench.raw.fetch(sql, query)))
    await bench.raw.execute("RESET hnsw.ef_search; RESET hnsw.iterative_scan")
    faster = ratio(times[in_where], times[OURS])
    verdict = Verdict(work, OURS, in_where, faster, "x", 10, at_most=False)
    return Findings(latencies(work, times), [verdict], [])


# --- Other libraries ------------------------------------------------------------------------

PEER_WORKER = """
import importlib.metadata, json, sys, time
import numpy as np

name, dsn, folder = sys.argv[1:]
texts = json.load(open(folder + "/texts.json"))
vectors, queries = np.load(folder + "/vectors.npy").tolist(), np.load(folder + "/queries.npy")
ids = [str(number) for number in range(len(texts))]

if name == "vecs":
    import vecs

    client = vecs.create_client(dsn.replace("postgresql:", "postgresql+psycopg2:", 1))

    def insert():
        global docs
        client.delete_collection("benchmark")
        docs = client.get_or_create_collection(name="benchmark", dimension=384)
        yield
        docs.upsert([(i, v, {"text": t}) for i, v, t in zip(ids, vectors, texts)])

    def index():
        docs.create_index(
            method=vecs.IndexMethod.hnsw,
            measure=vecs.IndexMeasure.cosine_distance,
            index_arguments=vecs.IndexArgsHNSW(m=16, ef_construction=64),
        )

    def search(query):
        return docs.query(
            query, limit=10, include_value=True, include_metadata=True, ef_search=100
        )
else:
    from langchain_core.embeddings import DeterministicFakeEmbedding
    from langchain_postgres import PGEngine, PGVectorStore
    from langchain_postgres.v2.indexes import HNSWIndex, HNSWQueryOptions

    engine = PGEngine.from_connection_string(dsn.replace("postgresql:", "postgresql+asyncpg:", 1))

    def insert():
        global store
        engine.init_vectorstore_table("langchain_benchmark", 384, overwrite_existing=True)
        store = PGVectorStore.create_sync(
            engine,
            DeterministicFakeEmbedding(size=384),
            "langchain_benchmark",
            index_query_options=HNSWQueryOptions(ef_search=100),
        )
        yield
        store.add_embeddings(texts, vectors)

    def index():
        store.apply_vector_index(HNSWIndex(m=16, ef_construction=64))

    def search(query):
        return store.similarity_search_with_score_by_vector(query.tolist(), k=10)

print(name, importlib.metadata.version(name), flush=True)
for line in sys.stdin:
    if line.strip() == "insert":
        steps = insert()
        next(steps)
        start = time.perf_counter()
        next(steps, None)
        print(time.perf_counter() - start, flush=True)
    elif line.strip() == "index":
        index()
        print(0, flush=True)
    else:
        start = time.perf_counter()
        found = search(queries[int(line)])
        end = time.perf_counter()
        assert len(found) == 10, found
        print(end - start, flush=True)
"""


class PeerFailed(Exception):
    """A peer that cannot run; the message says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A library in a process of its own, which times itself."""

    name: str
    _process: subprocess.Popen[str]
    _errors: Path

    async def take(self, step: str) -> float:
        """Seconds of `insert` (into a new table), `index` or the search of one query's number."""
        assert self._process.stdin is not None  # a pipe
        print(step, file=self._process.stdin, flush=True)
        return float(self.heard())

    def heard(self) -> str:
        """The next line of what it says."""
        assert self._process.stdout is not None  # a pipe
        if line := self._process.stdout.readline():
            return line.strip()
        raise PeerFailed((self._errors.read_text().strip().splitlines() or ["it ended"])[-1])


@contextlib.contextmanager
def started(requirement: str, bench: Bench, folder: Path) -> Iterator[Peer]:
    """Start a library's process on the files that `write_peer_inputs` left in `folder`.

    Raises:
        PeerFailed: it cannot be installed or did not come up.
    """
    name, errors = requirement.partition("==")[0], folder / f"{requirement}.log"
    command = [str(peer_python()), "-c", PEER_WORKER, name, bench.dsn, str(folder)]
    with (
        errors.open("w") as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            peer = Peer(requirement.replace("==", " "), process, errors)
            peer.heard()
            yield peer
        finally:
            process.kill()


def peer_python() -> Path:
    """The interpreter of the peers' virtual environment, made where it is missing."""
    folder = ARTIFACTS / "bench-peers-search"
    python, marker = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join((sys.version, *PEERS))
    if not marker.is_file() or marker.read_text() != wanted:
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *PEERS]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PeerFailed(f"cannot be installed: {done.stderr.strip().splitlines()[-1]}")
        marker.write_text(wanted)
    return python


def write_peer_inputs(bench: Bench, folder: Path) -> None:
    """What the peers insert and ask for."""
    count = bench.size.peer_rows
    (folder / "texts.json").write_text(json.dumps(bench.inputs.texts[:count]))
    np.save(folder / "vectors.npy", bench.inputs.vectors[:count])
    np.save(folder / "queries.npy", bench.inputs.queries)


async def peer_work(bench: Bench, requirement: str) -> Findings:
    """Insert the same rows, index them alike, search for the same vectors at ef_search 100."""
    with tempfile.TemporaryDirectory(prefix="vla-benchmark-") as scratch:
        write_peer_inputs(bench, Path(scratch))
        try:
            with started(requirement, bench, Path(scratch)) as peer:
                return await against(peer, bench)
        except PeerFailed as reason:
            return Findings([], [], [Absence(requirement, str(reason))])


async def against(peer: Peer, bench: Bench) -> Findings:
    """Ours and one peer, in turns; the peer times itself."""
    size, rows = bench.size, bench.inputs.rows(bench.size.peer_rows)
    inserts: dict[str, list[float]] = {OURS: [], peer.name: []}
    searches: dict[str, list[float]] = {OURS: [], peer.name: []}
    for _ in range(size.peer_turns):
        await make_table(bench.raw)
        insert = insert_embeddings(bench.db, TABLE, "embedding", rows)
        inserts[OURS].append(await seconds(insert))
        inserts[peer.name].append(await peer.take("insert"))
    await peer.take("index")
    await create_hnsw_index(bench.db, TABLE, "embedding")
    for number, query in enumerate(bench.inputs.queries):
        searches[OURS].append(await seconds(_search(bench.db, query)))
        searches[peer.name].append(await peer.take(str(number)))
    insert_name, search_name = f"insert {size.peer_rows:,} rows", "search them by HNSW"
    verdicts = [
        Verdict(work, OURS, peer.name, ratio(times[peer.name], times[OURS]), "x", 1, at_most=False)
        for work, times in ((insert_name, inserts), (search_name, searches))
    ]
    figures = [*rates(insert_name, inserts, size.peer_rows), *latencies(search_name, searches)]
    return Findings(figures, verdicts, [])


# --- The whole --------------------------------------------------------------------------------

WORKS = (insert_work, update_work, build_work, overhead_work, recall_work, threshold_work)


async def measure(bench: Bench, progress: Progress, *, peers: bool) -> Findings:
    """Every work, in an order in which each finds the table as it needs it."""
    requirements = PEERS if peers else ()
    task = progress.add_task("", total=len(WORKS) + len(requirements))
    parts = []
    for work in WORKS:
        progress.update(task, description=work.__name__.removesuffix("_work"))
        parts.append(await work(bench))
        progress.advance(task)
    for requirement in requirements:
        progress.update(task, description=requirement)
        parts.append(await peer_work(bench, requirement))
        progress.advance(task)
    return Findings.joined(parts)


@contextlib.asynccontextmanager
async def prepared(dsn: str, size: Size, inputs: Inputs) -> AsyncIterator[Bench]:
    """Connections, and the table until the end."""
    raw = await asyncpg.connect(dsn)
    await make_table(raw)
    await register_vector(raw)
    async with await Database.connect(dsn) as db:
        yield Bench(size, inputs, dsn, db, raw)
    await raw.execute(f"DROP TABLE {TABLE}")
    await raw.close()


async def run(dsn: str, size: Size, *, peers: bool) -> Result:
    """Prepare, measure, and say on what."""
    with progress_bars() as progress:
        inputs = await load_inputs(size, progress)
        machine, began = describe_machine(), time.perf_counter()
        async with prepared(dsn, size, inputs) as bench:
            findings = await measure(bench, progress, peers=peers)
    return Result(
        suite="search",
        size="full" if size is FULL else "quick",
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - began, 1),
        inputs=inputs.origin,
        weights={MINILM.name: inputs.weights},
        machine=machine,
        findings=findings,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search", description="What search costs and finds."
    )
    parser.add_argument("--database-url", help="a PostgreSQL to measure on; it is written to")
    parser.add_argument("--without-peers", action="store_true", help="leave the libraries out")
    parser.add_argument("--quick", action="store_true", help="few rows and turns: a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    given = parser.parse_args()
    size = QUICK if given.quick else FULL
    with contextlib.ExitStack() as stack:
        dsn = given.database_url or stack.enter_context(LocalPostgres()).dsn
        result = asyncio.run(run(dsn, size, peers=not given.without_peers))
    for grid in grids(result.findings):
        stdout.print(grid.for_terminal())
    stdout.print(f"{result.inputs}; {describe(result.machine)}", highlight=False)
    if given.json is not None:
        given.json.write_text(json.dumps(result.to_json(), indent=2) + "\n")


if __name__ == "__main__":
    main()
