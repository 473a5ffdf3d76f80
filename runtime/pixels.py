"""CLIP's preprocessing: any image as the 224x224 pixels that its image tower sees."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vla_embeddings.runtime.decode import ImageInput, check_kind, decode

__all__ = ["PREPROCESSING_VERSION", "SIDE", "ImageInput", "preprocess"]

SIDE = 224
"""Width and height of CLIP ViT-B/32's input, in pixels (its preprocessor_config.json)."""

PREPROCESSING_VERSION = "clip224-1"
"""Part of every image's cache key: changes whenever an image may give other pixels."""

# Images more elongated than this lose their ends before scaling, which would otherwise need
# gigabytes for a few thousand pixels.
_MAX_ASPECT = 64


def preprocess(image: ImageInput) -> NDArray[np.uint8]:
    """Scale the shortest edge to 224 (bicubic, antialiased) and keep the central square.

    Bit for bit what transformers' `CLIPImageProcessor` has before it divides by 255, its
    rounding of the long edge and its crop offsets included. Beyond 64:1 a value in a hundred
    may differ by 1 or 2. `vla_embeddings.runtime.decode.decode` says how each kind of image
    becomes RGB.

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
    short = min(rgb.size)
    width, height = int(SIDE * rgb.width / short), int(SIDE * rgb.height / short)
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    scaled = rgb.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(scaled.crop((left, top, left + SIDE, top + SIDE)))


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
