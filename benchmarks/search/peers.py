"""Other libraries, in a process and a virtual environment of their own."""

import contextlib
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.results import Absence, Findings, Verdict
from benchmarks.search.inputs import ARTIFACTS, Bench
from benchmarks.search.searching import search_once
from benchmarks.search.turns import OURS, latencies, rates, ratio, seconds
from benchmarks.search.writing import TABLE, make_table
from vla_embeddings.search import (
    create_hnsw_index,
    insert_embeddings,
)

PEERS = ("langchain-postgres==0.0.19", "vecs==0.4.5")


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
        searches[OURS].append(await seconds(search_once(bench.db, query)))
        searches[peer.name].append(await peer.take(str(number)))
    insert_name, search_name = f"insert {size.peer_rows:,} rows", "search them by HNSW"
    verdicts = [
        Verdict(work, OURS, peer.name, ratio(times[peer.name], times[OURS]), "x", 1, at_most=False)
        for work, times in ((insert_name, inserts), (search_name, searches))
    ]
    figures = [*rates(insert_name, inserts, size.peer_rows), *latencies(search_name, searches)]
    return Findings(figures, verdicts, [])


# --- The whole --------------------------------------------------------------------------------
