"""CLIP's preprocessing: any image as the 224x224 pixels that its image tower sees."""

from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vla_embeddings.runtime.decode import ImageInput, check_kind, decode
from vla_embeddings.runtime.pool import Pool

__all__ = ["PREPROCESSING_VERSION", "SIDE", "ImageInput", "preprocess"]

SIDE = 224
"""Width and height of CLIP ViT-B/32's input, in pixels (its preprocessor_config.json)."""

PREPROCESSING_VERSION = "clip224-1"
"""Part of every image's cache key: changes whenever an image may give other pixels."""

# Images more elongated than this lose their ends before scaling, which would otherwise need
# gigabytes for a few thousand pixels.
_MAX_ASPECT = 64


# So many pixels are worth waking another thread for.
_SHARED_PIXELS = 128 * 1024


def preprocess(image: ImageInput, helpers: Pool | None = None) -> NDArray[np.uint8]:
    """Scale the shortest edge to 224 (bicubic, antialiased) and keep the central square.

    Bit for bit what transformers' `CLIPImageProcessor` has before it divides by 255, its
    rounding of the long edge and its crop offsets included. Beyond 64:1 a value in a hundred
    may differ by 1 or 2. `vla_embeddings.runtime.decode.decode` says how each kind of image
    becomes RGB.

    Args:
        image: of any kind.
        helpers: threads that scale a part of it where they have nothing else to do.

    Returns:
        uint8 of shape (224, 224, 3), RGB, C-contiguous; an array that has this shape already is
        taken as it is: do not change it.

    Raises:
        InvalidInput: an image that cannot be used; see `decode`.
    """
    if isinstance(image, np.ndarray) and image.shape == (SIDE, SIDE, 3):
        check_kind(image)
        return np.ascontiguousarray(image)
    rgb = _without_far_ends(decode(image))
    return np.asarray(_square_of_wide(rgb, helpers) if rgb.width >= rgb.height else _square(rgb))


def _square(rgb: Image.Image) -> Image.Image:
    """The central square of the image, scaled as a whole."""
    height = int(SIDE * rgb.height / rgb.width)
    top = (height - SIDE) // 2
    scaled = rgb.resize((SIDE, height), Image.Resampling.BICUBIC)
    return scaled.crop((0, top, SIDE, top + SIDE))


def _square_of_wide(rgb: Image.Image, helpers: Pool | None) -> Image.Image:
    """Likewise of one that is no higher than wide, of which Pillow scales the rows first.

    So they may be scaled apart from each other, and the columns outside the square not at all.
    """
    width = int(SIDE * rgb.width / rgb.height)
    left = (width - SIDE) // 2
    spans = _spans(rgb, helpers.threads if helpers else 1)
    strips = [partial(_narrowed, rgb, width, top, bottom) for top, bottom in spans]
    scaled = helpers.share(strips) if helpers else [strip() for strip in strips]
    narrow = Image.new("RGB", (SIDE, rgb.height))
    for (top, _), strip in zip(spans, scaled, strict=True):
        narrow.paste(strip, (-left, top))
    return narrow.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _spans(rgb: Image.Image, threads: int) -> list[tuple[int, int]]:
    """The first row of each thread's strip, and the one after its last."""
    strips = max(1, min(threads, rgb.width * rgb.height // _SHARED_PIXELS))
    return list(pairwise(rgb.height * strip // strips for strip in range(strips + 1)))


def _narrowed(rgb: Image.Image, width: int, top: int, bottom: int) -> Image.Image:
    """Some rows, scaled to the width."""
    rows = rgb if bottom - top == rgb.height else rgb.crop((0, top, rgb.width, bottom))
    return rows.resize((width, bottom - top), Image.Resampling.BICUBIC)


def _without_far_ends(rgb: Image.Image) -> Image.Image:
    """Cut both ends of an image beyond 64:1 by the same multiple of its short edge.

    Each multiple is 224 scaled pixels, so the central square stays where it was.
    """
    width, height = rgb.size
    cut_x = max(0, (width // height - _MAX_ASPECT) // 2) * height
    cut_y = max(0, (height // width - _MAX_ASPECT) // 2) * width
    if cut_x == cut_y == 0:
        return rgb
    return rgb.crop((cut_x, cut_y, width - cut_x, height - cut_y))
