"""Which figures say nothing of the trained model, since seeded weights gave them."""

from collections.abc import Sequence

from benchmarks.report.words import quantity
from benchmarks.results import Result, Row, Verdict

UNTRAINED = "untrained"


def untrained_models(results: Sequence[Result]) -> list[str]:
    """Those whose weights were seeded instead of learnt, by name."""
    return sorted({m for each in results for m, kind in each.weights.items() if kind == UNTRAINED})


def cosine(row: Row, result: Result) -> str:
    """The row's quality and of how many inputs it is the lowest; nothing where it has none.

    Marked where the weights are untrained.
    """
    if row.quality is None:
        return ""
    inputs = "" if row.compared is None else f" of {row.compared:,}"
    return _marked(f"{row.quality:.4f}{inputs}", row.model, result)


def figure_of(found: Row | Verdict, result: Result) -> str:
    """The median and its unit; one that is a quality itself is marked likewise."""
    text = quantity(found.figure.median, found.unit)
    return _marked(text, found.model, result) if found.unit == "" else text


def _marked(quality: str, model: str | None, result: Result) -> str:
    untrained = model is not None and result.weights.get(model) == UNTRAINED
    return f"{quality} ({UNTRAINED})" if untrained else quality
