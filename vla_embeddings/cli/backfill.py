"""`vla-embeddings backfill`: vectors for the rows that a table has already."""

import asyncio
import dataclasses
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import TaskID

from vla_embeddings.cli.db import DatabaseUrl, given_database_url
from vla_embeddings.cli.output import Json, print_json, progress_bars, stderr, stdout
from vla_embeddings.cli.rows import (
    Kind,
    KindOption,
    Root,
    SourceColumn,
    TableName,
    Where,
    conditions_of,
    filters_of,
    lines_of,
)
from vla_embeddings.errors import ConfigurationError

if TYPE_CHECKING:
    from vla_embeddings.backfill import BackfillProgress, BackfillReport
    from vla_embeddings.backfill.engine import Engine
    from vla_embeddings.backfill.report import Progress

INDEX_PLANS = {
    "leave": "leave its index as it is",
    "create": "create an index at the end",
    "rebuild": "drop its index, and build it anew at the end",
}


class EngineOption(StrEnum):
    """Where the work is done."""

    local = "local"
    ray = "ray"


def backfill(
    table: TableName,
    source_column: SourceColumn,
    embedding_column: Annotated[str, typer.Option(help="Where the vectors go.")],
    kind: Kind = KindOption.text,
    root: Root = None,
    where: Where = None,
    rows_per_second: Annotated[
        float | None, typer.Option(help="At most so many.", show_default="no limit")
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Empty the column first where another model filled it."),
    ] = False,
    index: Annotated[
        bool, typer.Option(help="Build the column's index at the end where that is best.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count, say what would be done, and do nothing.")
    ] = False,
    engine: Annotated[
        EngineOption,
        typer.Option(
            help="In this process, or by workers on Ray: the cluster that RAY_ADDRESS names, or "
            "one that is started on this machine. Needs the extra `distributed`."
        ),
    ] = EngineOption.local,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Ray: encoders, of one CPU each.", show_default="Ray's CPUs"),
    ] = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Give a vector to every row that has none.

    May be stopped and run again, and run by several workers at once. Exits with 1 where rows
    got no vector, with 130 or 143 where SIGINT or SIGTERM stopped it: after the rows at hand, or
    at once if sent twice. Models with untrained weights are refused.
    """
    from vla_embeddings import EmbeddingService
    from vla_embeddings.backfill import backfill as fill
    from vla_embeddings.search import Database

    address = given_database_url(database_url)
    conditions = conditions_of(where)
    doing = _engine(engine, workers, address)
    caught: list[int] = []

    async def run() -> "BackfillReport":
        async with EmbeddingService() as service, await Database.connect(address) as db:
            with _stopping(caught) as stop, _progress(f"{table}.{embedding_column}") as progress:
                return await fill(
                    db,
                    service,
                    table=table,
                    source_column=source_column,
                    embedding_column=embedding_column,
                    kind=kind.value,
                    root=root,
                    filters=await filters_of(db, table, conditions),
                    rows_per_second=rows_per_second,
                    replace=replace,
                    index=index,
                    dry_run=dry_run,
                    progress=progress,
                    stop=stop,
                    engine=doing,
                )

    with redirect_stdout(sys.stderr):  # Ray prints there when a process of its own dies
        report = asyncio.run(run())
    if as_json:
        print_json({**dataclasses.asdict(report), "rows_per_second": report.rows_per_second})
    else:
        _show(report)
    if caught:
        raise typer.Exit(128 + caught[0])
    if report.failed:
        raise typer.Exit(1)


def _engine(name: EngineOption, workers: int | None, address: str) -> "Engine":
    from vla_embeddings.backfill.distributed import RayEngine
    from vla_embeddings.backfill.engine import LocalEngine

    if name is EngineOption.ray:
        return RayEngine(address, workers=workers)
    if workers is not None:
        raise ConfigurationError(
            "--workers is for --engine ray; here, start the command as often as you like."
        )
    return LocalEngine()


@contextmanager
def _stopping(caught: list[int]) -> Iterator[asyncio.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second has its usual effect."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def release() -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(signum)

    def catch(signum: int) -> None:
        caught.append(signum)
        stop.set()
        release()
        stderr.print("Stopping after the rows at hand; once more to stop at once.")

    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, catch, signum)
    try:
        yield stop
    finally:
        release()


@contextmanager
def _progress(name: str) -> Iterator["Progress"]:
    """A bar for each phase, with its speed."""
    with progress_bars() as bars:
        tasks: dict[str, TaskID] = {}

        def show(progress: "BackfillProgress") -> None:
            if progress.phase not in tasks:
                tasks[progress.phase] = bars.add_task(name)
            task = tasks[progress.phase]
            bars.update(task, completed=progress.done, total=progress.total)
            speed = next(t.speed for t in bars.tasks if t.id == task) or 0
            bars.update(task, description=f"{name} {progress.phase} {speed:,.0f}/s")

        yield show


def _show(report: "BackfillReport") -> None:
    for line in _lines(report):
        stdout.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(report: "BackfillReport") -> Iterator[str]:
    plan = report.plan
    if report.stopped and not plan.vectors + plan.pending:
        yield "Stopped before the rows were counted; nothing was changed."
        return
    if report.dry_run:
        yield (
            f"Would embed {plan.pending:,} rows of {plan.table} with {plan.fingerprint}, beside "
            f"{plan.vectors:,} that keep their vector, and {INDEX_PLANS[plan.index]}."
        )
        return
    yield (
        f"Embedded {report.embedded:,} of {plan.pending:,} rows of {plan.table} in "
        f"{report.seconds:.1f} s ({report.rows_per_second:,.0f} rows/s)."
    )
    if report.index:
        yield f"Built the index {report.index}."
    elif plan.index != "leave":
        yield (
            "The column's index is not built. The run that ends the work builds it; so does "
            f"vla-embeddings index create {plan.table} {plan.embedding_column}"
        )
    if report.left:
        yield f"{report.left:,} rows are left, to the next run or to workers still at it."
    if report.failed:
        yield f"{len(report.failed):,} rows got no vector:"
        yield from lines_of(report.failed)
