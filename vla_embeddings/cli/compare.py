"""`vla-embeddings compare`: whether stored vectors are those that this installation makes."""

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from vla_embeddings.cli.db import DatabaseUrl, given_database_url
from vla_embeddings.cli.output import Json, print_json, progress_bars, stdout
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

if TYPE_CHECKING:
    from vla_embeddings.compare import Comparison

SHOWN_WORST = 10


def compare(
    table: TableName,
    source_column: SourceColumn,
    embedding_column: Annotated[str, typer.Option(help="Where the stored vectors are.")],
    kind: Kind = KindOption.text,
    root: Root = None,
    where: Where = None,
    sample: Annotated[int, typer.Option(min=1, help="Random rows to compare.")] = 1000,
    min_cosine: Annotated[
        float, typer.Option(min=-1, max=1, help="What every row has to reach.")
    ] = 0.999,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Embed random rows again, and show the cosine of their stored to their fresh vectors.

    Run it before vectors of this library join those of another program, model or precision in
    one column. Nothing is written, and of a large table only some pages are read. Exits with 0
    where every row compared reaches --min-cosine, with 1 where one does not, holds an unusable
    vector, or none could be compared. Models with untrained weights are refused.
    """
    from vla_embeddings import EmbeddingService
    from vla_embeddings.compare import compare as measure
    from vla_embeddings.search import Database

    address = given_database_url(database_url)
    conditions = conditions_of(where)

    async def run() -> "Comparison":
        async with EmbeddingService() as service, await Database.connect(address) as db:
            with progress_bars() as bars:
                task = bars.add_task(f"Embedding rows of {table} again", total=None)
                return await measure(
                    db,
                    service,
                    table=table,
                    source_column=source_column,
                    embedding_column=embedding_column,
                    kind=kind.value,
                    root=root,
                    filters=await filters_of(db, table, conditions),
                    sample=sample,
                    min_cosine=min_cosine,
                    progress=lambda done, total: bars.update(task, completed=done, total=total),
                )

    comparison = asyncio.run(run())
    if as_json:
        print_json(_document(comparison))
    else:
        _show(comparison)
    if not comparison.passed:
        raise typer.Exit(1)


def _document(comparison: "Comparison") -> dict[str, object]:
    verdict = {"passed": comparison.passed, "percentiles": comparison.percentiles}
    return {**dataclasses.asdict(comparison), **verdict}


def _show(comparison: "Comparison") -> None:
    if comparison.rows:
        stdout.print(_figures(comparison))
        stdout.print(_worst(comparison))
    for line in _lines(comparison):
        stdout.print(line, markup=False, highlight=False, soft_wrap=True)


def _figures(comparison: "Comparison") -> Table:
    shown = Table(title="Cosine of stored to fresh vectors", title_justify="left")
    shown.add_column("rows", justify="right")
    for name in (*comparison.percentiles, "to reach", "below"):
        shown.add_column(name, justify="right")
    shown.add_row(
        f"{len(comparison.rows):,}",
        *(f"{value:.6f}" for value in comparison.percentiles.values()),
        f"{comparison.min_cosine:g}",
        f"{comparison.below:,}",
    )
    return shown


def _worst(comparison: "Comparison") -> Table:
    shown = Table("id", title="Lowest", title_justify="left")
    shown.add_column("cosine", justify="right")
    for row in comparison.rows[:SHOWN_WORST]:
        colour = "green" if row.cosine >= comparison.min_cosine else "red"
        shown.add_row(escape(str(row.id)), f"[{colour}]{row.cosine:.6f}[/]")
    return shown


def _lines(comparison: "Comparison") -> Iterator[str]:
    column = f"{comparison.table}.{comparison.embedding_column}"
    yield f"Fresh vectors: {comparison.fingerprint}."
    if comparison.recorded is None:
        yield f"{column} does not say which model filled it."
    elif comparison.recorded != comparison.fingerprint:
        yield f"{column} says that another model filled it: {comparison.recorded}."
    if comparison.unusable:
        yield f"{len(comparison.unusable):,} rows hold a vector that cannot be compared:"
        yield from lines_of(comparison.unusable)
    if comparison.failed:
        yield f"{len(comparison.failed):,} rows cannot be embedded again, and do not count:"
        yield from lines_of(comparison.failed)
    if comparison.not_unit:
        yield (
            f"{comparison.not_unit:,} stored vectors are not of length 1: cosine searches work, "
            "euclidean and inner-product ones would mix lengths."
        )
    yield _verdict(comparison)


def _verdict(comparison: "Comparison") -> str:
    if comparison.passed:
        return "Passed: stored and fresh vectors agree."
    if not comparison.rows:
        return "FAILED: no row could be compared."
    return "FAILED: not every stored vector is what this model makes of its source."
