"""What search costs and finds: the command line.

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
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from pgvector.asyncpg import register_vector
from rich.progress import Progress

from benchmarks.machine import describe_machine
from benchmarks.report import describe, grids
from benchmarks.results import Findings, Result
from benchmarks.search.inputs import FULL, QUICK, Bench, Inputs, Size, load_inputs
from benchmarks.search.peers import PEERS, peer_work
from benchmarks.search.searching import overhead_work, recall_work, threshold_work
from benchmarks.search.writing import TABLE, build_work, insert_work, make_table, update_work
from vla_embeddings.cli.output import progress_bars, stdout
from vla_embeddings.local import LocalPostgres
from vla_embeddings.models import MINILM
from vla_embeddings.search import (
    Database,
)

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
