"""`vla-embeddings index`: the indexes that make similarity search fast."""

import asyncio
import dataclasses
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from vla_embeddings.cli.db import DatabaseUrl, given_database_url
from vla_embeddings.cli.output import Json, print_json, progress_bars, stdout
from vla_embeddings.config import embedding_config

if TYPE_CHECKING:
    from vla_embeddings.search import BuildProgress, RecallPoint, VectorIndex

app = typer.Typer(
    help="Create, list, drop and measure the HNSW and IVFFlat indexes of vector columns.",
    no_args_is_help=True,
)


class Method(StrEnum):
    """Kinds of index."""

    hnsw = "hnsw"
    ivfflat = "ivfflat"


class MetricOption(StrEnum):
    """Distances an index can serve."""

    cosine = "cosine"
    euclidean = "euclidean"
    inner_product = "inner_product"


TableName = Annotated[str, typer.Argument(help="Table, or schema.table, as the database has it.")]
ColumnName = Annotated[str, typer.Argument(help="The column that holds the vectors.")]
Metric = Annotated[MetricOption, typer.Option(help="Distance to search by.")]


@app.command()
def create(
    table: TableName,
    column: ColumnName,
    method: Annotated[
        Method | None,
        typer.Option(
            help="HNSW finds more and keeps up with new rows; IVFFlat is built sooner, smaller, "
            "and wants its rows beforehand.",
            show_default="hnsw, or as EMBEDDING_USE_HNSW_INDEX says",
        ),
    ] = None,
    metric: Metric = MetricOption.cosine,
    m: Annotated[
        int | None, typer.Option(help="HNSW: links a vector.", show_default="EMBEDDING_HNSW_M, 16")
    ] = None,
    ef_construction: Annotated[
        int | None,
        typer.Option(
            help="HNSW: candidates weighed while linking.",
            show_default="EMBEDDING_HNSW_EF_CONSTRUCTION, 64",
        ),
    ] = None,
    lists: Annotated[
        int, typer.Option(help="IVFFlat: lists; about rows / 1000, up to a million rows.")
    ] = 100,
    half: Annotated[
        bool, typer.Option("--half", help="Index in half precision: half the size.")
    ] = False,
    memory_mb: Annotated[
        int | None,
        typer.Option(help="Memory of the build.", show_default="what it needs, up to 1024"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Parallel workers of the build.", show_default="as the server is set"),
    ] = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Build an index while the table stays in use; nothing to do where an equal one is there.

    A leftover of a build that broke off is replaced. Exits with 1, and says why, where an index
    of another definition is in the way.
    """
    hnsw = embedding_config.use_hnsw_index if method is None else method is Method.hnsw
    index = asyncio.run(
        _create(
            given_database_url(database_url),
            table,
            column,
            metric=metric,
            hnsw=(m, ef_construction) if hnsw else None,
            lists=lists,
            half=half,
            memory_mb=memory_mb,
            workers=workers,
        )
    )
    _show([index], as_json=as_json)


@app.command("list")
def list_(
    table: Annotated[str | None, typer.Argument(help="Only this table's.")] = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Show the vector indexes: state, size, options; an invalid one is of no use to a search."""
    _show(asyncio.run(_list(given_database_url(database_url), table)), as_json=as_json)


@app.command()
def drop(
    name: Annotated[str, typer.Argument(help="Index, or schema.index, as `index list` shows it.")],
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Drop one vector index while the table stays in use; exits with 1 where there is none."""
    index = asyncio.run(_drop(given_database_url(database_url), name))
    if as_json:
        print_json({"dropped": dataclasses.asdict(index)})
    else:
        stdout.print(f"Dropped {index.name} ({_megabytes(index)}).")


@app.command()
def recall(
    table: TableName,
    column: ColumnName,
    metric: Metric = MetricOption.cosine,
    top_k: Annotated[int, typer.Option(min=1, max=10_000, help="Rows each query asks for.")] = 10,
    effort: Annotated[
        list[int] | None,
        typer.Option(
            help="ef_search (HNSW) or probes (IVFFlat) to try; may be repeated.",
            show_default="20 40 100 200 400, or 1 3 10 32",
        ),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Random rows to take as queries.")] = 100,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Compare the column's index with exact search: recall and latency at each effort."""
    points = asyncio.run(
        _recall(given_database_url(database_url), table, column, metric, top_k, effort, sample)
    )
    if as_json:
        print_json([dataclasses.asdict(point) for point in points])
    else:
        stdout.print(_recall_table(points, top_k))


async def _create(
    address: str,
    table: str,
    column: str,
    *,
    metric: MetricOption,
    hnsw: tuple[int | None, int | None] | None,
    lists: int,
    half: bool,
    memory_mb: int | None,
    workers: int | None,
) -> "VectorIndex":
    from vla_embeddings.search import Database, create_hnsw_index, create_ivfflat_index

    async with await Database.connect(address) as db:
        with progress_bars() as bars:
            task = bars.add_task(f"Building an index on {table}.{column}", total=None)

            def show(progress: "BuildProgress") -> None:
                bars.update(task, completed=progress.done, total=progress.total)

            if hnsw is not None:
                return await create_hnsw_index(
                    db,
                    table,
                    column,
                    *hnsw,
                    distance_metric=metric.value,
                    half=half,
                    memory_mb=memory_mb,
                    workers=workers,
                    progress=show,
                )
            return await create_ivfflat_index(
                db,
                table,
                column,
                lists,
                distance_metric=metric.value,
                half=half,
                memory_mb=memory_mb,
                workers=workers,
                progress=show,
            )


async def _list(address: str, table: str | None) -> "list[VectorIndex]":
    from vla_embeddings.search import Database, list_indexes

    async with await Database.connect(address) as db:
        return await list_indexes(db, table)


async def _drop(address: str, name: str) -> "VectorIndex":
    from vla_embeddings.search import Database, drop_index

    async with await Database.connect(address) as db:
        return await drop_index(db, name)


async def _recall(
    address: str,
    table: str,
    column: str,
    metric: MetricOption,
    top_k: int,
    efforts: list[int] | None,
    sample: int,
) -> "list[RecallPoint]":
    from vla_embeddings.search import Database, measure_recall

    async with await Database.connect(address) as db:
        with progress_bars() as bars:
            bars.add_task(f"Searching {table}.{column} with and without the index", total=None)
            return await measure_recall(
                db,
                table,
                column,
                distance_metric=metric.value,
                top_k=top_k,
                efforts=efforts or None,
                sample=sample,
            )


def _show(indexes: "list[VectorIndex]", *, as_json: bool) -> None:
    if as_json:
        print_json([dataclasses.asdict(index) for index in indexes])
        return
    if not indexes:
        stdout.print("There are no vector indexes.")
        return
    shown = Table()
    for heading in ("index", "column", "kind", "distance", "options", "size", "state"):
        shown.add_column(heading, overflow="fold")  # a name that is cut off cannot be dropped
    for index in indexes:
        options = " ".join(f"{name}={value}" for name, value in index.options.items())
        shown.add_row(
            escape(f"{index.schema}.{index.name}"),
            escape(f"{index.table}.{index.column}"),
            index.method + (" half" if index.half else ""),
            escape(index.metric),
            options,
            _megabytes(index),
            index.state if index.state == "valid" else f"[red]{index.state}[/]",
        )
    stdout.print(shown)


def _recall_table(points: "list[RecallPoint]", top_k: int) -> Table:
    effort = {"hnsw": "ef_search", "ivfflat": "probes"}[points[0].method]
    slowest = max(point.p50_ms for point in points)
    shown = Table(effort, f"recall@{top_k}", "", "p50", "", "exact p50")
    for point in points:
        shown.add_row(
            str(point.effort),
            f"{point.recall:.4f}",
            ProgressBar(total=1.0, completed=point.recall, width=20),
            f"{point.p50_ms:.2f} ms",
            ProgressBar(total=slowest, completed=point.p50_ms, width=20),
            f"{point.exact_p50_ms:.2f} ms",
        )
    return shown


def _megabytes(index: "VectorIndex") -> str:
    return f"{index.size_bytes / 2**20:.1f} MB"
