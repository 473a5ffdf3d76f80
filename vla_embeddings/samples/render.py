"""A small renderer for table-top scenes.

Every thing is a mesh of four-cornered faces, shaded by its angle to one lamp, seen by one camera
and painted from far to near.
"""

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Floats = NDArray[np.float64]
Colour = tuple[int, int, int]

WIDTH, HEIGHT = 640, 480
_SUPERSAMPLING = 2
_WOODS = ((196, 154, 108), (171, 126, 84), (214, 186, 148), (150, 112, 82))
_WALLS = ((206, 212, 214), (188, 200, 208), (220, 212, 198), (178, 188, 180))
_TABLE_END = 4.2


@dataclass(frozen=True, slots=True)
class Mesh:
    """A thing: its faces and its surface."""

    faces: Floats  # (n, 4, 3): corners, counter-clockwise seen from outside; x right, y away, z up
    colour: Colour
    shine: float

    def moved(self, x: float, y: float, z: float) -> "Mesh":
        """The same thing elsewhere."""
        return Mesh(self.faces + np.array([x, y, z]), self.colour, self.shine)


def box(width: float, depth: float, height: float, *, turn: float = 0.0) -> Floats:
    """A box that stands on its foot: four turned corners are a square."""
    square = revolved([(0, 0), (0.5**0.5, 0), (0.5**0.5, 1), (0, 1)], segments=4)
    cosine, sine = math.cos(turn), math.sin(turn)
    rotation = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    box: Floats = square * (width, depth, height) @ rotation
    return box


def revolved(profile: Sequence[tuple[float, float]], *, segments: int) -> Floats:
    """An outline of (radius, height) turned around the vertical axis."""
    angles = (np.arange(segments + 1) + 0.5) * 2 * math.pi / segments
    radius, height = np.array(profile, float).T
    rings = np.stack(
        [
            radius[:, None] * np.cos(angles),
            radius[:, None] * np.sin(angles),
            np.broadcast_to(height[:, None], (len(radius), len(angles))),
        ],
        axis=-1,
    )
    corners = (rings[:-1, :-1], rings[:-1, 1:], rings[1:, 1:], rings[1:, :-1])
    faces: Floats = np.stack(corners, axis=2).reshape(-1, 4, 3)
    return faces


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    units: Floats = vectors / np.maximum(lengths, 1e-9)  # a face at a pole may have no area
    return units


_EYE = np.array([0.0, -8.0, 6.0])
_FORWARD = _unit(np.array([0.0, 0.0, 0.9]) - _EYE)
_RIGHT = np.array([1.0, 0.0, 0.0])
_UP = np.cross(_RIGHT, _FORWARD)
_FOCAL = 1.35 * WIDTH * _SUPERSAMPLING
_LAMP = _unit(np.array([-0.45, -0.35, 1.0]))


def _on_screen(points: Floats, scale: float = 1.0) -> Floats:
    """Points of the room as pixels of the supersampled picture, or of one `scale` times it."""
    seen = points - _EYE
    depth = seen @ _FORWARD
    centre = np.array([WIDTH, HEIGHT]) * _SUPERSAMPLING / 2
    offset = np.stack([seen @ _RIGHT, -(seen @ _UP)], axis=-1) * _FOCAL / depth[..., None]
    pixels: Floats = (centre + offset) * scale
    return pixels


def render(meshes: Sequence[Mesh], generator: random.Random) -> Image.Image:
    """The meshes on a table, lit from the upper left, as 640x480 RGB pixels."""
    light = generator.uniform(0.9, 1.08)
    size = (WIDTH * _SUPERSAMPLING, HEIGHT * _SUPERSAMPLING)
    canvas = Image.new("RGB", size, _shade(generator.choice(_WALLS), light))
    _paint_table(canvas, generator, light)
    canvas.paste((30, 22, 18), mask=_shadow(meshes, size))
    dusk = Image.linear_gradient("L").point([(255 - level) // 5 for level in range(256)])
    canvas.paste((30, 30, 40), mask=dusk.resize(size))
    _paint_faces(canvas, meshes, light)
    return canvas.reduce(_SUPERSAMPLING)


def _paint_table(canvas: Image.Image, generator: random.Random, light: float) -> None:
    """Planks that run away from the camera, each of slightly another tone."""
    draw = ImageDraw.Draw(canvas)
    wood = generator.choice(_WOODS)
    edges = np.linspace(-7.7, 7.7, 12)
    for left, right in itertools.pairwise(edges):
        corners = np.array(
            [[left, -4, 0], [right, -4, 0], [right, _TABLE_END, 0], [left, _TABLE_END, 0]]
        )
        tone = light * generator.uniform(0.94, 1.04)
        draw.polygon(_on_screen(corners).ravel().tolist(), fill=_shade(wood, tone))


def _shadow(meshes: Sequence[Mesh], size: tuple[int, int]) -> Image.Image:
    """How dark each pixel of the table is; drawn small, because blur hides the difference."""
    small = Image.new("L", (size[0] // 4, size[1] // 4))
    draw = ImageDraw.Draw(small)
    for mesh in meshes:
        fallen = mesh.faces - mesh.faces[..., 2:] * (_LAMP / _LAMP[2])
        for face in _on_screen(fallen, scale=0.25):
            draw.polygon(face.ravel().tolist(), fill=120)
    blurred = small.filter(ImageFilter.GaussianBlur(4)).resize(size, Image.Resampling.BILINEAR)
    blurred.paste(0, (0, 0, size[0], round(_on_screen(np.array([0, _TABLE_END, 0]))[1])))
    return blurred


def _paint_faces(canvas: Image.Image, meshes: Sequence[Mesh], light: float) -> None:
    draw = ImageDraw.Draw(canvas)
    faces = np.concatenate([mesh.faces for mesh in meshes])
    counts = [len(mesh.faces) for mesh in meshes]
    colours = np.repeat([mesh.colour for mesh in meshes], counts, axis=0)
    shine = np.repeat([mesh.shine for mesh in meshes], counts)
    centres = faces.mean(axis=1)
    normals = _unit(np.cross(faces[:, 2] - faces[:, 0], faces[:, 3] - faces[:, 1]))
    to_eye = _unit(_EYE - centres)
    highlight = np.clip(np.sum(normals * _unit(to_eye + _LAMP), axis=1), 0, 1) ** 40 * shine
    lit = light * (0.48 + 0.58 * np.clip(normals @ _LAMP, 0, 1))
    shades = np.clip(colours * lit[:, None] + 255 * highlight[:, None], 0, 255).astype(int)
    corners = _on_screen(faces)
    far_to_near = np.argsort(-np.linalg.norm(centres - _EYE, axis=1))
    for index in far_to_near[np.sum(normals * to_eye, axis=1)[far_to_near] > 0]:
        draw.polygon(corners[index].ravel().tolist(), fill=tuple(shades[index].tolist()))


def _shade(colour: Colour, light: float) -> Colour:
    red, green, blue = (min(255, round(channel * light)) for channel in colour)
    return red, green, blue
