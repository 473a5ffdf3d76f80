"""What the Ray engine of the backfill costs beside the local one, on the same CPUs.

    .venv/bin/python -m benchmarks.distributed [--rows 50000] [--rounds 3] [--json FILE]

Both fill the same table of an embedded PostgreSQL with MiniLM's vectors, in turns (A B A B ...);
Ray with as many workers as there are CPUs, started and ended within each of its runs. The speed
once rows come through is told apart from the start-up before the first of them. An index is built
by neither. Each engine runs in a process of its own, so that its imports count too.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.inputs import load_instructions
from vla_embeddings import EmbeddingService
from vla_embeddings.backfill import BackfillProgress, backfill
from vla_embeddings.backfill.distributed import RayEngine
from vla_embeddings.backfill.engine import Engine, LocalEngine
from vla_embeddings.cli.output import progress_bars, stdout
from vla_embeddings.local import LocalPostgres
from vla_embeddings.runtime import available_cpus
from vla_embeddings.search import Database, create_schema

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Turn:
    """One run: seconds to the first rows and in all, and the rows a second in between."""

    start_seconds: float
    seconds: float
    steady_rows_per_second: float


async def run_engine(name: str, dsn: str) -> Turn:
    """Fill the table once with this engine."""
    engine: Engine = RayEngine(dsn, workers=available_cpus()) if name == "ray" else LocalEngine()
    seen: list[tuple[float, int]] = []

    def note(progress: BackfillProgress) -> None:
        if progress.done and (not seen or progress.done > seen[-1][1]):
            seen.append((time.perf_counter(), progress.done))

    async with await Database.connect(dsn) as db, EmbeddingService() as service:
        began = time.perf_counter()
        await backfill(
            db,
            service,
            table="instruction_analytics",
            source_column="instruction",
            embedding_column="instruction_embedding",
            index=False,
            progress=note,
            engine=engine,
        )
        ended = time.perf_counter()
    (first, few), (last, all_) = seen[0], seen[-1]
    return Turn(first - began, ended - began, (all_ - few) / (last - first))


def in_process(name: str, dsn: str) -> Turn:
    """The same in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.distributed", "--engine", name, "--dsn", dsn]
    output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Turn(**json.loads(output.splitlines()[-1]))


async def fill_table(dsn: str, texts: list[str]) -> None:
    """The rows, without vectors."""
    async with await Database.connect(dsn) as db:
        await create_schema(db)
        await db.pool.execute(
            "INSERT INTO instruction_analytics (instruction) SELECT unnest($1::text[])", texts
        )


async def clear_table(dsn: str) -> None:
    """As it was before a run."""
    async with await Database.connect(dsn) as db:
        await db.pool.execute("UPDATE instruction_analytics SET instruction_embedding = NULL")
        await db.pool.execute("VACUUM FULL instruction_analytics")


def compare(rows: int, rounds: int) -> dict[str, list[Turn]]:
    """Turns of both engines, in the order in which they were taken."""
    texts, _ = load_instructions(rows)
    turns: dict[str, list[Turn]] = {name: [] for name in ENGINES}
    with LocalPostgres() as server, progress_bars() as bars:
        task = bars.add_task("", total=rounds * len(ENGINES))
        asyncio.run(fill_table(server.dsn, texts))
        for _ in range(rounds):
            for name in ENGINES:
                bars.update(task, description=name)
                turns[name].append(in_process(name, server.dsn))
                asyncio.run(clear_table(server.dsn))
                bars.advance(task)
    return turns


def show(turns: dict[str, list[Turn]], rows: int) -> None:
    """One row an engine, of medians, and the ratios of neighbours."""
    table = Table(title=f"Backfill of {rows:,} instructions, {available_cpus()} CPUs, medians")
    for column in ("engine", "first rows after", "rows/s then", "rows/s in all"):
        table.add_column(column, justify="left" if column == "engine" else "right")
    for name, runs in turns.items():
        table.add_row(
            name,
            f"{statistics.median(run.start_seconds for run in runs):.1f} s",
            f"{statistics.median(run.steady_rows_per_second for run in runs):.0f}",
            f"{statistics.median(rows / run.seconds for run in runs):.0f}",
        )
    stdout.print(table)
    pairs = list(zip(turns["ray"], turns["local"], strict=True))
    steady = [ray.steady_rows_per_second / local.steady_rows_per_second for ray, local in pairs]
    whole = [local.seconds / ray.seconds for ray, local in pairs]
    for name, ratios in (("once rows come through", steady), ("in all", whole)):
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        stdout.print(f"Ray against local, {name}: {statistics.median(ratios):.2f} ({each})")


def main() -> None:
    """Compare, show and save; with --engine, one run alone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--dsn", help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    if given.engine:
        print(json.dumps(asdict(asyncio.run(run_engine(given.engine, given.dsn)))))
        return
    turns = compare(given.rows, given.rounds)
    show(turns, given.rows)
    if given.json:
        found = {name: [asdict(turn) for turn in runs] for name, runs in turns.items()}
        given.json.write_text(json.dumps({"rows": given.rows, **found}, indent=2))


if __name__ == "__main__":
    main()
