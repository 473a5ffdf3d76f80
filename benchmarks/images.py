"""Where the milliseconds of one image go: decoding, resizing, the graph, and Python around them.

Every turn times each source stage by stage: decoding alone, decoding and resizing, the graph
alone, and the whole call. A stage is what it adds, so "python" holds the cache key, the threads'
hand-overs and whatever a call does twice.
"""

import asyncio
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from benchmarks.bench import Bench
from benchmarks.results import Findings, Row, Series
from benchmarks.size import SizeName
from benchmarks.spread import quartiles
from vla_embeddings.models import Artifact
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

Cost = Mapping[str, float]
"""Milliseconds of each stage."""


@dataclass(frozen=True, slots=True)
class Source:
    """An image as a caller has it."""

    name: str
    image: ImageInput
    megapixels: float | None = None
    """Where the chart over sizes shows it; None where it does not."""


def run(bench: Bench) -> Findings:
    """The cost of one image by kind and size: decoding, resizing, graph, Python."""
    with Image.open(io.BytesIO(bench.inputs.jpegs[0])) as scene:
        sources = _sources(scene.convert("RGB"))
    return Findings.joined(_of(artifact, sources, bench) for artifact in bench.artifacts("image"))


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


def _of(artifact: Artifact, sources: Sequence[Source], bench: Bench) -> Findings:
    name, turns = bench.name_of(artifact.manifest.precision), TURNS[bench.size.name] + 1
    encoder = ImageEncoder.load(artifact, bench.choice(artifact), threads=available_cpus())
    service = bench.service(artifact)
    advance = bench.track(f"cost of an image, {name}", turns)
    costs: dict[str, list[Cost]] = {source.name: [] for source in sources}

    async def call(image: ImageInput) -> None:
        await service.get_image_embedding(image, use_cache=False)

    with asyncio.Runner() as runner:
        for _ in range(turns):
            for source in sources:
                costs[source.name].append(
                    _cost(source.image, encoder, lambda image: runner.run(call(image)))
                )
            advance(1)
        service.cleanup()
    warm = {name: taken[1:] for name, taken in costs.items()}
    rows = [row for source in sources for row in _rows(source, name, warm[source.name])]
    drawn = name == bench.usual_name
    return Findings(rows, [], [], _series(sources, warm) if drawn else [])


def _cost(image: ImageInput, encoder: ImageEncoder, call: Callable[[ImageInput], None]) -> Cost:
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


def _rows(source: Source, name: str, costs: Sequence[Cost]) -> list[Row]:
    taken = {stage: [cost[stage] for cost in costs] for stage in STAGES}
    taken["in all"] = [sum(cost.values()) for cost in costs]
    return [
        Row(f"cost of a {source.name}", f"{name}, {stage}", quartiles(ms), "ms", turns=ms)
        for stage, ms in taken.items()
    ]


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
