"""Which figures say nothing of the trained model, since seeded weights gave them."""

from collections.abc import Sequence

from benchmarks.report.words import quantity
from benchmarks.results import Result, Row, Verdict
from vla_embeddings.models import CLIP_IMAGE, MINILM

UNTRAINED = "untrained"
OF_IMAGES = ("image", "JPEG", CLIP_IMAGE.name)
"""One of them is in the name of every work on images."""
COSINE = "cosine"
"""Begins the name of every work whose figures are cosines."""


def untrained_models(results: Sequence[Result]) -> list[str]:
    """Those whose weights were seeded instead of learnt, by name."""
    return sorted({m for each in results for m, kind in each.weights.items() if kind == UNTRAINED})


def cosine(row: Row, result: Result) -> str:
    """The row's quality, marked where the weights are untrained; nothing where it has none."""
    return "" if row.quality is None else _marked(f"{row.quality:.4f}", row.work, result)


def figure_of(found: Row | Verdict, result: Result) -> str:
    """The median and its unit; a cosine is marked likewise."""
    text = quantity(found.figure.median, found.unit)
    return _marked(text, found.work, result) if found.work.startswith(COSINE) else text


def _marked(quality: str, work: str, result: Result) -> str:
    model = CLIP_IMAGE if any(word in work for word in OF_IMAGES) else MINILM
    untrained = result.weights.get(model.name) == UNTRAINED
    return f"{quality} ({UNTRAINED})" if untrained else quality
