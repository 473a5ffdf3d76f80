"""What a precision costs in quality, beside what it gains in speed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import Bench
from benchmarks.ours import serve
from benchmarks.results import Findings, Row, Verdict
from benchmarks.spread import exactly
from vla_embeddings.export.parity import bound_of, compare
from vla_embeddings.models import Kind, Precision

KINDS: Sequence[Kind] = ("text", "image")
NEIGHBOURS = 10
CHUNK = 200

# What a precision below fp32 must keep.
MIN_TEXT_COSINE = 0.99
MIN_NEIGHBOURS_KEPT = 0.95
MAX_SPEARMAN_LOST = 0.003
MIN_IMAGE_COSINE = 0.998

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TextQuality:
    """What a precision's instruction vectors are worth."""

    lowest: float
    """Cosine to fp32."""
    cosine: float
    """Likewise, the 1st percentile."""
    neighbours: float
    """Share of each instruction's ten nearest that are its nearest in fp32, too."""
    spearman: float | None
    """With people's judgement of sentence pairs; None where the data is not at hand."""


def run(bench: Bench) -> Findings:
    """What each precision keeps of PyTorch's vectors and of fp32's neighbours and judgement."""
    proofs, exact = [*_proofs(bench)], bench.name_of("fp32")
    kept = [*_of_texts(bench), *_of_images(bench)]
    rows = [
        Row(each.work, each.subject, each.figure, each.unit, model=each.model)
        for each in (*proofs, *kept)
    ]
    return Findings(rows, [*proofs, *(each for each in kept if each.subject != exact)], [])


@cache
def text_qualities(bench: Bench) -> Mapping[Precision, TextQuality]:
    """Of every exported precision; measured once a run, for all suites."""
    texts = compared_texts(bench)
    first = [pair[0] for pair in bench.inputs.pairs]
    second = [pair[1] for pair in bench.inputs.pairs]
    scores = [pair[2] for pair in bench.inputs.pairs]
    vectors = _vectors(bench, "text", [*texts, *first, *second])
    split: dict[Precision, list[Vectors]] = {
        precision: np.split(each, [len(texts), len(texts) + len(first)])
        for precision, each in vectors.items()
    }
    exact = split["fp32"][0]
    return {
        precision: TextQuality(
            lowest=float(cosines(exact, of_texts).min()),
            cosine=float(np.percentile(cosines(exact, of_texts), 1)),
            neighbours=neighbours_kept(exact, of_texts),
            spearman=spearman(cosines(*of_pairs).tolist(), scores) if scores else None,
        )
        for precision, (of_texts, *of_pairs) in split.items()
    }


def compared_texts(bench: Bench) -> Sequence[str]:
    """The instructions whose vectors in every precision are compared."""
    return bench.inputs.instructions[: bench.size.neighbour_texts]


@cache
def image_cosines(bench: Bench) -> Mapping[Precision, float]:
    """The lowest to fp32 of every exported precision; likewise."""
    vectors = _vectors(bench, "image", bench.inputs.jpegs)
    return {name: float(cosines(vectors["fp32"], each).min()) for name, each in vectors.items()}


def with_quality(row: Row, bench: Bench, kind: Kind, precision: Precision) -> Row:
    """A row of a precision's speed, with what its vectors are worth."""
    model = bench.fp32(kind).manifest.model
    if kind == "image":
        lowest, compared = image_cosines(bench)[precision], len(bench.inputs.jpegs)
        return replace(row, quality=lowest, compared=compared, model=model)
    worth = text_qualities(bench)[precision]
    return replace(
        row,
        quality=worth.lowest,
        compared=len(compared_texts(bench)),
        model=model,
        neighbours=worth.neighbours,
        spearman=worth.spearman,
    )


def _proofs(bench: Bench) -> Iterator[Verdict]:
    """Each graph against its PyTorch model, on this device."""
    for kind in KINDS:
        for artifact in bench.artifacts(kind):
            manifest = artifact.manifest
            parity = compare(artifact, bench.choice(artifact))
            work = f"cosine to PyTorch of {parity.samples} {manifest.model} samples, the lowest"
            name, bound = bench.name_of(manifest.precision), bound_of(manifest).min_cosine
            yield _at_least(work, name, parity.min_cosine, bound, manifest.model)


def _of_texts(bench: Bench) -> Iterator[Verdict]:
    texts, pairs = compared_texts(bench), bench.inputs.pairs
    qualities, model = text_qualities(bench), bench.fp32("text").manifest.model
    exact = qualities["fp32"].spearman
    for precision, each in qualities.items():
        name = bench.name_of(precision)
        work = f"cosine to fp32 of {len(texts):,} instructions, 1st percentile"
        yield _at_least(work, name, each.cosine, MIN_TEXT_COSINE, model)
        work = f"share of the {NEIGHBOURS} nearest kept among them"
        yield _at_least(work, name, each.neighbours, MIN_NEIGHBOURS_KEPT, model)
        if exact is not None and each.spearman is not None:
            work = f"Spearman, {len(pairs):,} pairs of STS benchmark dev"
            yield _at_least(work, name, each.spearman, exact - MAX_SPEARMAN_LOST, model)


def _of_images(bench: Bench) -> Iterator[Verdict]:
    work = f"cosine to fp32 of {len(bench.inputs.jpegs)} images, the lowest"
    model = bench.fp32("image").manifest.model
    for precision, cosine in image_cosines(bench).items():
        yield _at_least(work, bench.name_of(precision), cosine, MIN_IMAGE_COSINE, model)


def _vectors(bench: Bench, kind: Kind, inputs: Sequence[Any]) -> Mapping[Precision, Vectors]:
    """Every precision's vectors of the inputs, from batch calls."""
    artifacts = bench.artifacts(kind)
    advance = bench.track(f"quality, {kind}", len(artifacts) * len(inputs))
    vectors: dict[Precision, Vectors] = {}
    for artifact in artifacts:
        with serve(artifact, inputs, bench) as ours:
            chunks = []
            for start in range(0, len(inputs), CHUNK):
                chunks.append(ours.vectors(slice(start, start + CHUNK)))
                advance(len(chunks[-1]))
        vectors[artifact.manifest.precision] = np.concatenate(chunks)
    return vectors


def cosines(first: Vectors, second: Vectors) -> NDArray[np.float64]:
    """Of each pair of unit vectors, (n,)."""
    products: NDArray[np.float64] = np.einsum("nd,nd->n", first, second, dtype=np.float64)
    return products


def neighbours_kept(exact: Vectors, other: Vectors) -> float:
    """The share of each vector's nearest neighbours that are its nearest in `other`, too."""
    pairs = zip(_neighbours(exact), _neighbours(other), strict=True)
    return float(np.mean([len({*first} & {*second}) / NEIGHBOURS for first, second in pairs]))


def _neighbours(vectors: Vectors) -> list[list[int]]:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argpartition(-similarity, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    rows: list[list[int]] = nearest.tolist()
    return rows


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation; equal values share the mean of their ranks."""
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[place]
    return ranks


def _at_least(work: str, subject: str, figure: float, bound: float, model: str) -> Verdict:
    return Verdict(work, subject, None, exactly(figure), "", bound, at_most=False, model=model)
