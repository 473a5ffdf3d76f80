"""What a precision costs in quality, beside what it gains in speed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import Bench
from benchmarks.ours import serve
from benchmarks.results import Findings, Row, Verdict
from benchmarks.spread import Spread
from vla_embeddings.models import Kind

NEIGHBOURS = 10
CHUNK = 200

# What a precision below fp32 must keep.
MIN_TEXT_COSINE = 0.99
MIN_NEIGHBOURS_KEPT = 0.95
MAX_SPEARMAN_LOST = 0.003
MIN_IMAGE_COSINE = 0.998

Vectors = NDArray[np.float32]


def run(bench: Bench) -> Findings:
    """Compare every precision with fp32: cosines, neighbours, and people's judgement."""
    texts = list(_of_texts(bench))
    images = list(_of_images(bench))
    verdicts = [verdict for verdict in texts + images if verdict.subject != "ours fp32"]
    rows = [Row(each.work, each.subject, each.figure, each.unit) for each in texts + images]
    return Findings(rows, verdicts, [])


def _of_texts(bench: Bench) -> Iterator[Verdict]:
    texts = bench.inputs.instructions[: bench.size.neighbour_texts]
    vectors = _vectors(bench, "text", texts)
    exact = vectors["ours fp32"]
    for name, each in vectors.items():
        cosine = float(np.percentile(cosines(exact, each), 1))
        work = f"cosine to fp32 of {len(texts):,} instructions, 1st percentile"
        yield _at_least(work, name, cosine, MIN_TEXT_COSINE)
        work = f"share of the {NEIGHBOURS} nearest kept among them"
        yield _at_least(work, name, neighbours_kept(exact, each), MIN_NEIGHBOURS_KEPT)
    if bench.inputs.pairs:
        yield from _of_pairs(bench)


def _of_pairs(bench: Bench) -> Iterator[Verdict]:
    first, second, scores = zip(*bench.inputs.pairs, strict=True)
    vectors = _vectors(bench, "text", [*first, *second])
    halves = {name: np.split(each, 2) for name, each in vectors.items()}
    agreement = {name: spearman(cosines(*pair).tolist(), scores) for name, pair in halves.items()}
    for name, each in agreement.items():
        work = f"Spearman, {len(scores):,} pairs of STS benchmark dev"
        yield _at_least(work, name, each, agreement["ours fp32"] - MAX_SPEARMAN_LOST)


def _of_images(bench: Bench) -> Iterator[Verdict]:
    jpegs = bench.inputs.jpegs[: bench.size.images]
    vectors = _vectors(bench, "image", jpegs)
    for name, each in vectors.items():
        cosine = float(cosines(vectors["ours fp32"], each).min())
        work = f"cosine to fp32 of {len(jpegs)} images, the lowest"
        yield _at_least(work, name, cosine, MIN_IMAGE_COSINE)


def _vectors(bench: Bench, kind: Kind, inputs: Sequence[Any]) -> Mapping[str, Vectors]:
    """Every precision's vectors of the inputs, from batch calls."""
    artifacts = bench.artifacts(kind)
    advance = bench.track(f"quality, {kind}", len(artifacts) * len(inputs))
    vectors = {}
    for artifact in artifacts:
        with serve(artifact, inputs, bench.config, batch=True) as ours:
            chunks = []
            for start in range(0, len(inputs), CHUNK):
                chunks.append(ours.vectors(slice(start, start + CHUNK)))
                advance(len(chunks[-1]))
            vectors[ours.name] = np.concatenate(chunks)
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


def _at_least(work: str, subject: str, figure: float, bound: float) -> Verdict:
    return Verdict(work, subject, None, Spread(figure, figure, figure), "", bound, at_most=False)
