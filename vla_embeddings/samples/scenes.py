"""Drawn table-top scenes with captions, so that the demo needs no pictures of its own."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vla_embeddings.samples.render import Colour, Mesh, box, render, revolved

_COLOURS = {
    "red": (205, 48, 42),
    "orange": (235, 130, 35),
    "yellow": (240, 200, 50),
    "green": (62, 150, 76),
    "blue": (45, 98, 190),
    "purple": (125, 70, 160),
    "white": (235, 232, 225),
}
_STEEL, _RUBBER = (150, 155, 162), (58, 60, 66)

# Outlines that are turned around the vertical axis: (radius, height), from the foot outwards.
_PROFILES = {
    "ball": [(0.5 * math.sin(a), 0.5 - 0.5 * math.cos(a)) for a in np.linspace(0, math.pi, 25)],
    "can": [(0, 0), (0.4, 0), (0.42, 0.04), (0.42, 1.0), (0.4, 1.04), (0.36, 1.0), (0, 1.0)],
    "cup": [(0, 0), (0.34, 0), (0.44, 0.85), (0.4, 0.86), (0.31, 0.08), (0, 0.08)],
    "bowl": [
        *((0, 0), (0.34, 0), (0.36, 0.06), (0.58, 0.2), (0.71, 0.44), (0.68, 0.46)),
        *((0.63, 0.38), (0.51, 0.21), (0.31, 0.11), (0, 0.09)),
    ],
}
_KINDS = ("block", *_PROFILES)


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture of 640x480 RGB pixels and what it shows."""

    image: Image.Image
    caption: str
    """Such as "a red block left of a blue bowl, gripper open"."""
    objects: tuple[str, ...]
    """From left to right, such as "red block"."""
    gripper_open: bool


def make_scenes(count: int, *, seed: int = 0) -> list[Scene]:
    """Draw `count` scenes of two to four things on a table under a gripper.

    A seed always gives the same scenes.
    """
    generator = random.Random(seed)
    return [_scene(generator) for _ in range(count)]


def _scene(generator: random.Random) -> Scene:
    number = generator.choice((2, 2, 3, 3, 4))
    colours = generator.sample(list(_COLOURS), number)
    kinds = generator.choices(_KINDS, k=number)
    objects = tuple(f"{colour} {kind}" for colour, kind in zip(colours, kinds, strict=True))
    gripper_open = generator.random() < 0.5
    meshes = _gripper(generator.uniform(-1.6, 1.6), generator.uniform(-0.2, 0.6), gripper_open)
    first_row = generator.randrange(2)
    for slot, (colour, kind) in enumerate(zip(colours, kinds, strict=True)):
        # Neighbours stand in different rows, so that even two bowls do not touch.
        x = (slot - (number - 1) / 2) * 5.6 / number + generator.uniform(-0.1, 0.1)
        y = -1.3 + 1.5 * ((slot + first_row) % 2) + generator.uniform(-0.3, 0.3)
        mesh = _thing(kind, _COLOURS[colour], turn=generator.uniform(0, math.pi / 2))
        meshes.append(mesh.moved(x, y, 0))
    image = render(meshes, generator)
    return Scene(image, _caption(objects, gripper_open), objects, gripper_open)


def _caption(objects: Sequence[str], gripper_open: bool) -> str:
    *first, last = [f"{'an' if name[0] == 'o' else 'a'} {name}" for name in objects]
    pair = f"{first[0]} left of {last}"
    row = pair if len(first) == 1 else f"{', '.join(first)} and {last} from left to right"
    return f"{row}, gripper {'open' if gripper_open else 'closed'}"


def _thing(kind: str, colour: Colour, *, turn: float) -> Mesh:
    if kind == "block":
        return Mesh(box(0.84, 0.84, 0.84, turn=turn), colour, shine=0.05)
    return Mesh(revolved(_PROFILES[kind], segments=48), colour, shine=0.35)


def _gripper(x: float, y: float, is_open: bool) -> list[Mesh]:
    gap = 0.5 if is_open else 0.1
    wrist = Mesh(revolved([(0, 0), (0.34, 0), (0.34, 3), (0, 3)], segments=48), _STEEL, 0.3)
    palm = Mesh(box(1.5, 0.55, 0.4), _RUBBER, 0.1)
    finger = Mesh(box(0.16, 0.34, 0.8), _STEEL, 0.2)
    pad = Mesh(box(0.1, 0.36, 0.3), _RUBBER, 0.0)
    fingers = [finger.moved(x + side * (gap + 0.08), y, 1.6) for side in (-1, 1)]
    pads = [pad.moved(x + side * (gap - 0.05), y, 1.57) for side in (-1, 1)]
    return [wrist.moved(x, y, 2.75), palm.moved(x, y, 2.35), *fingers, *pads]
