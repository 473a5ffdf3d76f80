"""Where the milliseconds of one image go: decoding, resizing, the graph, and Python around them.

Every turn times each source in every precision, the stages inside the same call: what is none of
them is "python", the cache key, the threads' hand-overs and whatever a call does twice.
"""

import asyncio
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image

from benchmarks.bench import Bench
from benchmarks.flops import clip_image_flops
from benchmarks.harness import SETTLE_SECONDS
from benchmarks.limits.gemm import gemm_limits
from benchmarks.limits.peaks import Peaks
from benchmarks.quality import with_quality
from benchmarks.results import Findings, Row, Series
from benchmarks.size import SizeName
from benchmarks.spans import Spans, spans
from benchmarks.spread import quartiles
from vla_embeddings import service
from vla_embeddings.models import Artifact, Precision
from vla_embeddings.runtime import ImageInput, pixels
from vla_embeddings.runtime.session import Session

TURNS: Mapping[SizeName, int] = {"tiny": 1, "quick": 1, "full": 5, "long": 15}
CALLS = 4
"""That count in each turn, after one that does not."""
SIDES = ((224, 224), (320, 240), (640, 480), (1280, 720), (1920, 1080))
CAMERA = (640, 480)
STAGES = ("decode", "resize", "graph", "python")
SPANS = {
    "decode": (pixels, "decode"),
    "preprocess": (service, "preprocess"),
    "graph": (Session, "run"),
}
GRADED = ("graph", "in all")
"""Those that differ by precision, and show what its vectors are worth. They alone are compared
with another run: the others are differences, or decoding, for which one process takes half as long
again as the next (docs/adr/0012). The single functions are timed in several."""

Cost = Mapping[str, float]
"""Milliseconds of each stage."""


@dataclass(frozen=True, slots=True)
class Source:
    """An image as a caller has it."""

    name: str
    image: ImageInput
    megapixels: float | None = None
    """Where the chart over sizes shows it; None where it does not."""


@dataclass(frozen=True, slots=True)
class Graph:
    """One precision behind its service."""

    name: str
    precision: Precision
    call: Callable[[ImageInput], object]


def run(bench: Bench) -> Findings:
    """The cost of one image by kind and size: decoding, resizing, graph, Python."""
    with Image.open(io.BytesIO(bench.inputs.jpegs[0])) as scene:
        sources = _sources(scene.convert("RGB"))
    peaks = Peaks(gemm_limits(lambda _: clip_image_flops(), on_gpu=bench.on_gpu))
    with _graphs(bench) as graphs:
        costs = _measure(graphs, sources, peaks, bench)
    rows = peaks.rows("graph of one image", "ms")
    for graph in graphs:
        for source in sources:
            for stage, row in _rows(source, graph.name, costs[graph.name][source.name]):
                if stage in GRADED:
                    row = with_quality(row, bench, "image", graph.precision)
                rows.append(peaks.shared(row, graph.precision) if stage == "graph" else row)
    series = _series(sources, costs[bench.usual_name])
    inputs = f"{bench.inputs.origin}: one of 640x480, resized to the other sizes"
    return Findings(rows, [], [], series, inputs)


@contextmanager
def _graphs(bench: Bench) -> Iterator[list[Graph]]:
    """Every precision, until the end."""
    with asyncio.Runner() as runner, ExitStack() as stack:

        def graph(artifact: Artifact) -> Graph:
            service, precision = bench.service(artifact), artifact.manifest.precision
            stack.callback(service.cleanup)

            async def embed(image: ImageInput) -> None:
                await service.get_image_embedding(image, use_cache=False)

            return Graph(
                bench.name_of(precision), precision, lambda image: runner.run(embed(image))
            )

        yield [graph(artifact) for artifact in bench.artifacts("image")]


def _measure(
    graphs: Sequence[Graph], sources: Sequence[Source], peaks: Peaks, bench: Bench
) -> dict[str, dict[str, list[Cost]]]:
    """Costs of every turn by precision and source, all in turns."""
    costs: dict[str, dict[str, list[Cost]]] = {
        graph.name: {source.name: [] for source in sources} for graph in graphs
    }
    turns = TURNS[bench.size.name]
    advance = bench.track("cost of an image", turns)
    for graph in graphs:
        graph.call(sources[0].image)  # loads the model
    with spans(SPANS) as taken:
        for turn in range(turns):
            for source in sources:
                for graph in graphs if turn % 2 == 0 else reversed(graphs):
                    time.sleep(SETTLE_SECONDS)
                    graph.call(source.image)
                    each = [_cost(source.image, graph, taken) for _ in range(CALLS)]
                    costs[graph.name][source.name].append(_median(each))
            peaks.measure()
            advance(1)
    return costs


def _sources(scene: Image.Image) -> list[Source]:
    usual = scene.resize(CAMERA)
    jpegs = [
        Source(
            f"{width}x{height} JPEG", _file(scene, (width, height), "JPEG"), width * height / 1e6
        )
        for width, height in SIDES
    ]
    others = [
        Source("640x480 PNG", _file(scene, CAMERA, "PNG")),
        Source("640x480 PIL image", usual),
        Source("640x480 array", np.asarray(usual)),
    ]
    return [*jpegs, *others]


def _file(scene: Image.Image, size: tuple[int, int], kind: str) -> bytes:
    file = io.BytesIO()
    scene.resize(size).save(file, kind, quality=90)
    return file.getvalue()


def _cost(image: ImageInput, graph: Graph, taken: Spans) -> Cost:
    taken.clear()
    start = time.perf_counter()
    graph.call(image)
    whole = 1000 * (time.perf_counter() - start)
    decoding, prepared, run = (taken.get(name, 0.0) for name in SPANS)
    stages = (decoding, prepared - decoding, run, whole - prepared - run)
    return dict(zip(STAGES, stages, strict=True), **{"in all": whole})


def _median(costs: Sequence[Cost]) -> Cost:
    return {stage: float(np.median([cost[stage] for cost in costs])) for stage in costs[0]}


def _rows(source: Source, name: str, costs: Sequence[Cost]) -> Iterator[tuple[str, Row]]:
    """Each stage with its row."""
    taken = {stage: [cost[stage] for cost in costs] for stage in (*STAGES, "in all")}
    for stage, ms in taken.items():
        derived = stage not in GRADED
        turns = [] if derived else ms
        work, subject = f"cost of a {source.name}", f"{name}, {stage}"
        yield stage, Row(work, subject, quartiles(ms), "ms", turns=turns, derived=derived)


def _series(sources: Sequence[Source], costs: Mapping[str, Sequence[Cost]]) -> list[Series]:
    """A line for each stage."""
    return [
        Series(
            "image-cost",
            stage,
            "megapixels",
            "ms",
            [
                (each.megapixels, float(np.median([cost[stage] for cost in costs[each.name]])))
                for each in sources
                if each.megapixels is not None
            ],
        )
        for stage in STAGES
    ]
