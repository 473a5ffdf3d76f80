"""Other libraries on the same server, each in a process of its own."""

from benchmarks.peers.environment import PeerEnvironment, PeerFailed
from benchmarks.peers.store import Store, start_store
from benchmarks.peers.stores import StoreInputs
from benchmarks.results import Absence, Findings, Verdict
from benchmarks.search.inputs import SearchBench
from benchmarks.search.searching import search_once
from benchmarks.search.writing import TABLE, make_table
from benchmarks.turns import OURS, latencies, rates, ratio, seconds
from vla_embeddings.search import create_hnsw_index, insert_embeddings


async def vecs_work(bench: SearchBench) -> Findings:
    """Supabase's vecs."""
    return await _against("vecs", bench)


async def langchain_work(bench: SearchBench) -> Findings:
    """langchain-postgres' PGVectorStore."""
    return await _against("langchain-postgres", bench)


async def _against(name: str, bench: SearchBench) -> Findings:
    """Insert the same rows, index them alike, search for the same vectors at ef_search 100."""
    if bench.stores is None:
        return Findings([], [], [])
    try:
        return await _contest(name, bench.stores, bench)
    except PeerFailed as reason:
        return Findings([], [], [Absence(name, str(reason))])


async def _contest(name: str, environment: PeerEnvironment, bench: SearchBench) -> Findings:
    count, inputs = bench.size.peer_rows, bench.inputs
    given = StoreInputs(inputs.texts[:count], inputs.vectors[:count], inputs.queries)
    with start_store(environment, name, bench.dsn, given) as store:
        inserts = await _inserts(store, bench)
        store.seconds("index")
        await create_hnsw_index(bench.db, TABLE, "embedding")
        searches = await _searches(store, bench)
        beside = f"{count:,} rows, beside {name}"
        insert, search = f"insert {beside}", f"search {beside}"
        verdicts = [
            Verdict(work, OURS, store.name, ratio(times[store.name], times[OURS]), "x", 1, False)
            for work, times in ((insert, inserts), (search, searches))
        ]
    return Findings([*rates(insert, inserts, count), *latencies(search, searches)], verdicts, [])


async def _inserts(store: Store, bench: SearchBench) -> dict[str, list[float]]:
    """Seconds of inserting all rows into an empty table, in turns; the store times itself."""
    times: dict[str, list[float]] = {OURS: [], store.name: []}
    rows = bench.inputs.rows(bench.size.peer_rows)
    for _ in range(bench.size.peer_turns):
        await make_table(bench.raw)
        insert = insert_embeddings(bench.db, TABLE, "embedding", rows)
        times[OURS].append(await seconds(insert))
        store.seconds("reset")
        times[store.name].append(store.seconds("insert"))
    return times


async def _searches(store: Store, bench: SearchBench) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {OURS: [], store.name: []}
    for number, query in enumerate(bench.inputs.queries):
        times[OURS].append(await seconds(search_once(bench.db, query)))
        times[store.name].append(store.seconds("search", number))
    return times
