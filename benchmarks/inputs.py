"""What is embedded: real instructions and camera images where they are at hand, else made."""

import csv
import gzip
import io
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.size import Size
from vla_embeddings.samples import make_instructions, make_scenes

DATA = Path(os.environ.get("BENCHMARK_DATA_DIR") or Path(__file__).parents[2] / "shared" / "data")
"""Real inputs, where that folder is there."""
INSTRUCTIONS, IMAGES, PAIRS = "instructions.jsonl.gz", "images/robot", "sts/stsb-en-dev.csv"
"""What the suites take of it."""
SIZE = (640, 480)
JPEG_QUALITY = 90
DRAWN_SCENES = 24
MIN_INSTRUCTIONS = 1000  # so that some have the length that latency is timed at


@dataclass(frozen=True, slots=True)
class Inputs:
    """Inputs of all suites; the same ones for the same counts."""

    instructions: list[str]
    jpegs: list[bytes]
    """Each 640x480, all different."""
    pairs: list[tuple[str, str, float]]
    """Sentences and how alike people found them, 0 to 5 (STS benchmark); empty where the data is
    not at hand."""
    origin: str
    """Real or made."""


def load_inputs(size: Size, data: Path = DATA) -> Inputs:
    """Take as many inputs as the suites need from the data folder, or make them."""
    instructions = max(
        size.throughput_turns * size.instructions, size.neighbour_texts, MIN_INSTRUCTIONS
    )
    jpegs = max(size.throughput_turns * size.images, size.latency_turns)
    if at_hand(data):
        return Inputs(
            real_instructions(data, instructions),
            list(_jpegs(_real_images(data), jpegs)),
            _real_pairs(data)[: size.pairs],
            "real robot instructions and camera images",
        )
    scenes = [scene.image for scene in make_scenes(DRAWN_SCENES)]
    return Inputs(
        make_instructions(instructions),
        list(_jpegs(scenes, jpegs)),
        [],
        "generated instructions and drawn scenes",
    )


def at_hand(data: Path) -> bool:
    """Whether a folder has the real inputs: another of that name may lie beside the clone."""
    return all((data / part).exists() for part in (INSTRUCTIONS, IMAGES, PAIRS))


def load_instructions(count: int, data: Path = DATA) -> tuple[list[str], str]:
    """So many different instructions, and where they are from: `real` or `generated`."""
    if at_hand(data):
        return real_instructions(data, count), "real"
    return make_instructions(count), "generated"


def real_instructions(data: Path, count: int) -> list[str]:
    """`count` of the data folder's, the same ones for the same count."""
    with gzip.open(data / INSTRUCTIONS, "rt", encoding="utf-8") as file:
        texts = [str(json.loads(line)["text"]) for line in file]
    return random.Random(0).sample(texts, count)


def _real_images(data: Path) -> list[Image.Image]:
    paths = sorted(path for path in (data / IMAGES).rglob("*") if path.is_file())
    return [Image.open(path).convert("RGB") for path in paths]


def _real_pairs(data: Path) -> list[tuple[str, str, float]]:
    with (data / PAIRS).open(encoding="utf-8", newline="") as file:
        return [(first, second, float(score)) for first, second, score in csv.reader(file)]


def _jpegs(images: list[Image.Image], count: int) -> Iterator[bytes]:
    """As many JPEGs, each a different cut of one of the images."""
    generator = random.Random(0)
    for number in range(count):
        image = images[number % len(images)]
        width, height = (round(side * generator.uniform(0.8, 1.0)) for side in image.size)
        left = generator.randint(0, image.width - width)
        top = generator.randint(0, image.height - height)
        cut = image.resize(SIZE, box=(left, top, left + width, top + height))
        file = io.BytesIO()
        cut.save(file, "JPEG", quality=JPEG_QUALITY)
        yield file.getvalue()
