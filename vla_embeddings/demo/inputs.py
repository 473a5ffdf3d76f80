"""What the demo embeds: generated, or the user's own."""

import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path

from vla_embeddings.errors import InvalidInput
from vla_embeddings.runtime import ImageInput
from vla_embeddings.samples import make_instructions, make_scenes

MODEL_TYPES = ("openvla", "octo", "rt-1-x")
ROBOT_TYPES = ("franka_panda", "widowx", "google_robot")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Instruction:
    """A row of instruction_analytics before it has a vector."""

    text: str
    model_type: str
    robot_type: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A row of context_metadata before it has a vector."""

    image: ImageInput
    name: str
    """Its caption, or its path."""


def generated_instructions(count: int) -> list[Instruction]:
    """Robot instructions from the grammar; always the same."""
    return _labelled(make_instructions(count))


def read_instructions(path: Path, count: int) -> list[Instruction]:
    """The first distinct instructions of a file.

    Args:
        path: one instruction a line, or JSON lines with a field `text`; `.gz` may follow.
        count: how many at most.

    Raises:
        InvalidInput: the file cannot be read or holds none.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            lines = [line.strip() for line in file]
        if ".jsonl" in path.suffixes:
            lines = [json.loads(line)["text"] for line in lines if line]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"--instructions {path}: expected one instruction a line, or JSON lines with a field "
            f'"text" (.jsonl); got {type(error).__name__}: {error}.'
        ) from error
    texts = list(dict.fromkeys(line for line in lines if line))[:count]
    if not texts:
        raise InvalidInput(f"--instructions {path}: the file holds no instruction.")
    return _labelled(texts)


def generated_pictures(count: int) -> list[Picture]:
    """Drawn table-top scenes; always the same."""
    return [Picture(scene.image, scene.caption) for scene in make_scenes(count)]


def read_pictures(folder: Path, count: int) -> list[Picture]:
    """The first images below a folder, by path.

    Raises:
        InvalidInput: there is none.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS)
    if not paths:
        raise InvalidInput(f"--images {folder}: no file there ends in {', '.join(IMAGE_ENDINGS)}.")
    return [Picture(path.read_bytes(), str(path.relative_to(folder))) for path in paths[:count]]


def _labelled(texts: list[str]) -> list[Instruction]:
    generator = random.Random(0)
    return [
        Instruction(text, generator.choice(MODEL_TYPES), generator.choice(ROBOT_TYPES))
        for text in texts
    ]
