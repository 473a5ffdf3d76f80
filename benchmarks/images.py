"""Where the milliseconds of one image go: decoding, resizing, the graph, and Python around them.

Every turn times each source in every precision, stage by stage: decoding alone, decoding and
resizing, the graph alone, and the whole call. A stage is what it adds, so "python" holds the cache
key, the threads' hand-overs and whatever a call does twice.
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
from benchmarks.limits.gemm import gemm_limits
from benchmarks.limits.peaks import Peaks
from benchmarks.quality import with_quality
from benchmarks.results import Findings, Row, Series
from benchmarks.size import SizeName
from benchmarks.spread import quartiles
from vla_embeddings.models import Artifact, Precision
from vla_embeddings.runtime import (
    ImageEncoder,
    ImageInput,
    available_cpus,
    decode,
    preprocess,
)

TURNS: Mapping[SizeName, int] = {"tiny": 1, "quick": 1, "full": 8, "long": 40}
SIDES = ((224, 224), (320, 240), (640, 480), (1280, 720), (1920, 1080))
CAMERA = (640, 480)
STAGES = ("decode", "resize", "graph", "python")
DIFFERENCES = ("resize", "python")
GRADED = ("graph", "in all")
"""Those that differ by precision, and show what its vectors are worth."""

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
    """One precision: the graph alone, and the service in front of it."""

    name: str
    precision: Precision
    encoder: ImageEncoder
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
            encoder = ImageEncoder.load(artifact, bench.choice(artifact), threads=available_cpus())

            async def embed(image: ImageInput) -> None:
                await service.get_image_embedding(image, use_cache=False)

            return Graph(
                bench.name_of(precision),
                precision,
                encoder,
                lambda image: runner.run(embed(image)),
            )

        yield [graph(artifact) for artifact in bench.artifacts("image")]


def _measure(
    graphs: Sequence[Graph], sources: Sequence[Source], peaks: Peaks, bench: Bench
) -> dict[str, dict[str, list[Cost]]]:
    """Costs by precision and source, all in turns; the first warms up and is dropped."""
    costs: dict[str, dict[str, list[Cost]]] = {
        graph.name: {source.name: [] for source in sources} for graph in graphs
    }
    turns = TURNS[bench.size.name]
    advance = bench.track("cost of an image", turns + 1)
    for turn in range(turns + 1):
        for source in sources:
            for graph in graphs if turn % 2 == 0 else reversed(graphs):
                cost = _cost(source.image, graph.encoder, graph.call)
                if turn:
                    costs[graph.name][source.name].append(cost)
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


def _cost(image: ImageInput, encoder: ImageEncoder, call: Callable[[ImageInput], object]) -> Cost:
    pixels = preprocess(image)[None]
    decoding = _milliseconds(lambda: decode(image))
    preprocessing = _milliseconds(lambda: preprocess(image))
    graph = _milliseconds(lambda: encoder.encode(pixels))
    whole = _milliseconds(lambda: call(image))
    stages = (decoding, preprocessing - decoding, graph, whole - preprocessing - graph)
    return dict(zip(STAGES, stages, strict=True))


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def _rows(source: Source, name: str, costs: Sequence[Cost]) -> Iterator[tuple[str, Row]]:
    """Each stage with its row."""
    taken = {stage: [cost[stage] for cost in costs] for stage in STAGES}
    taken["decode and resize"] = [cost["decode"] + cost["resize"] for cost in costs]
    taken["in all"] = [sum(cost.values()) for cost in costs]
    for stage, ms in taken.items():
        derived = stage in DIFFERENCES
        turns = [] if derived else ms
        work, subject = f"cost of a {source.name}", f"{name}, {stage}"
        yield stage, Row(work, subject, quartiles(ms), "ms", turns=turns, derived=derived)


def _series(sources: Sequence[Source], costs: Mapping[str, Sequence[Cost]]) -> list[Series]:
    """A line for each stage; a difference below the noise counts as nothing."""
    return [
        Series(
            "image-cost",
            stage,
            "megapixels",
            "ms",
            [
                (each.megapixels, max(0.0, float(np.median([c[stage] for c in costs[each.name]]))))
                for each in sources
                if each.megapixels is not None
            ],
        )
        for stage in STAGES
    ]
