"""The demo's result as tables."""

from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from vla_embeddings.demo.job import Answer, Loading, Result, Timing
from vla_embeddings.models import Manifest

_UNTRAINED = "[bold yellow]UNTRAINED[/]"
_UNKNOWN = "–"  # where Redis did not say


def tables(manifests: Sequence[Manifest], result: Result) -> Iterator[Table]:
    """One table for each thing a person would look at, in the order of the work."""
    yield _models(manifests)
    yield _loadings(result.loadings)
    *instructions, picture = result.answers
    yield _instruction_search(instructions)
    yield _image_search(picture, untrained=any(m.weights == "untrained" for m in manifests))
    yield _timings(result.timings)
    yield _cache(result)


def _models(manifests: Sequence[Manifest]) -> Table:
    table = _table("Models, proven against PyTorch", "model", "weights", "precision")
    table.add_column("vector", justify="right")
    table.add_column("max |Δ| to PyTorch", justify="right")
    for manifest in manifests:
        table.add_row(
            escape(manifest.model),
            "trained" if manifest.weights == "trained" else _UNTRAINED,
            manifest.precision,
            f"{manifest.dimension}-d",
            f"{manifest.parity.max_abs_delta:.1e}",
        )
    return table


def _loadings(loadings: Sequence[Loading]) -> Table:
    table = _table("Embedded, stored and indexed", "rows of")
    for name in ("rows", "embedded", "stored", "HNSW index"):
        table.add_column(name, justify="right")
    for loading in loadings:
        table.add_row(
            loading.what,
            f"{loading.rows:,}",
            f"{loading.rows / loading.embed_seconds:,.0f}/s",
            f"{loading.rows / loading.store_seconds:,.0f}/s",
            f"{loading.index_seconds:.2f} s",
        )
    return table


def _instruction_search(answers: Sequence[Answer]) -> Table:
    table = _table("Instruction search")
    # Or a longer time would narrow the column beside it, and wrap what was found otherwise.
    table.add_column("query", max_width=23)
    table.add_column("found")
    table.add_column("similarity", justify="right")
    table.add_column("model_type")
    for answer in answers:
        rows = [
            (escape(row["instruction"]), f"{row['similarity']:.3f}", row["model_type"])
            for row in answer.rows
        ]
        _add_answer(table, answer, rows or [("[dim]nothing that near[/]", "", "")])
    return table


def _image_search(answer: Answer, *, untrained: bool) -> Table:
    remark = f" ({_UNTRAINED} weights: the order means nothing)" if untrained else ""
    table = _table(f"Image search{remark}", "query image", "found")
    table.add_column("distance", justify="right")
    rows = [(escape(row["image_path"]), f"{row['distance']:.3f}") for row in answer.rows]
    _add_answer(table, answer, rows)
    return table


def _add_answer(table: Table, answer: Answer, rows: Sequence[tuple[str, ...]]) -> None:
    """The question beside the first row, how it was searched beside the second."""
    beside = [
        f"[bold]{escape(answer.question)}[/]",
        f"[dim]{answer.search}, {answer.milliseconds:.1f} ms[/]",
    ]
    table.add_section()
    for number in range(max(len(rows), len(beside))):
        left = beside[number] if number < len(beside) else ""
        table.add_row(left, *(rows[number] if number < len(rows) else ()))


def _timings(timings: Sequence[Timing]) -> Table:
    table = _table("The same queries again, median time of a vector", "from")
    table.add_column("instruction", justify="right")
    table.add_column("image", justify="right")
    for timing in timings:
        table.add_row(
            timing.origin, f"{timing.instruction_ms:.2f} ms", f"{timing.image_ms:.2f} ms"
        )
    return table


def _cache(result: Result) -> Table:
    table = _table("Cache")
    for name in ("embeddings", "memory used", "hits", "misses"):
        table.add_column(name, justify="right")
    stats = result.cache
    keys, memory = stats["total_keys"], stats["memory_used"]
    table.add_row(
        _UNKNOWN if keys is None else f"{keys:,}",
        memory or _UNKNOWN,
        f"{stats['hits']:,}",
        f"{stats['misses']:,}",
    )
    return table


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", title_style="bold")
