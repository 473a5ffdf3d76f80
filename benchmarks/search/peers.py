"""Other libraries on the same server, each in a process of its own."""

from benchmarks.peers.environment import PeerEnvironment, PeerFailed
from benchmarks.peers.store import Store, start_store
from benchmarks.peers.stores import EF_SEARCH, StoreInputs
from benchmarks.results import Absence, Findings, Verdict
from benchmarks.search.contest import Searches, asking, hold, searching
from benchmarks.search.inputs import TABLE, SearchBench, Vectors, nearest_similarities
from benchmarks.search.writing import make_table
from benchmarks.turns import OURS, rates, ratio, round_trips, seconds, take_turns
from vla_embeddings.search import create_hnsw_index, insert_embeddings


async def vecs_work(bench: SearchBench) -> Findings:
    """Supabase's vecs."""
    return await _against("vecs", bench)


async def langchain_work(bench: SearchBench) -> Findings:
    """langchain-postgres' PGVectorStore."""
    return await _against("langchain-postgres", bench)


async def _against(name: str, bench: SearchBench) -> Findings:
    """Insert the same rows, index them alike, search for the same vectors at `EF_SEARCH`."""
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
            for work, times in ((insert, inserts), (search, searches.times))
        ]
    limit = bench.echo.name
    rows = [*rates(insert, inserts, count, limit), *searches.rows(search)]
    return Findings(rows, verdicts, [], runs_on={store.name: store.on})


async def _inserts(store: Store, bench: SearchBench) -> dict[str, list[float]]:
    """Seconds of inserting all rows into an empty table, in turns; the store times itself."""
    rows = bench.inputs.rows(bench.size.peer_rows)

    async def ours(_: int) -> float:
        await make_table(bench.raw)
        return await seconds(insert_embeddings(bench.db, TABLE, "embedding", rows))

    async def theirs(_: int) -> float:
        store.seconds("reset")
        return store.seconds("insert")

    sent = bench.inputs.vectors[: bench.size.peer_rows].nbytes
    limit = round_trips(bench.echo, sent=sent, received=1)
    works = {OURS: ours, store.name: theirs, bench.echo.name: limit}
    return await take_turns(works, bench.size.peer_turns)


async def _searches(store: Store, bench: SearchBench) -> Searches:
    """Among the first rows alone; the store times itself."""
    queries, vectors = bench.inputs.queries, bench.inputs.vectors[: bench.size.peer_rows]

    async def theirs(number: int) -> tuple[float, Vectors]:
        taken, found = store.search(number)
        return taken, vectors[found] @ queries[number]

    async with bench.db.pool.acquire() as connection:
        asks = {
            OURS: asking(searching(connection, queries, ef_search=EF_SEARCH)),
            store.name: theirs,
        }
        return await hold(asks, nearest_similarities(vectors, queries), bench)
