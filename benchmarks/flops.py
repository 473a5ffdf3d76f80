"""Floating-point operations that the models' arithmetic takes, padding not counted.

A product of (m, k) and (k, n) takes 2 m k n. LayerNorm, GELU and softmax are left out: well under
one percent. Sizes are the checkpoints' own (their config.json).
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transformer:
    """The sizes that its work depends on; the feed-forward layer is four times the width."""

    blocks: int
    width: int

    def block(self, tokens: int) -> int:
        """One block, all tokens: four projections, attention, feed-forward."""
        projections = 4 * 2 * tokens * self.width**2
        attention = 2 * 2 * tokens**2 * self.width
        feed_forward = 2 * 2 * tokens * self.width * 4 * self.width
        return projections + attention + feed_forward

    def block_for_one(self, tokens: int) -> int:
        """One block of which a single token's output is used: keys and values of all."""
        keys_values = 2 * 2 * tokens * self.width**2
        attention = 2 * 2 * tokens * self.width
        the_rest = 2 * 2 * self.width**2 + 2 * 2 * self.width * 4 * self.width
        return keys_values + attention + the_rest


MINILM = Transformer(blocks=6, width=384)
CLIP_VISION = Transformer(blocks=12, width=768)
PATCHES, PATCH_VALUES, CLIP_DIMENSION = 49, 32 * 32 * 3, 512


def minilm_flops(lengths: Iterable[int]) -> int:
    """Texts of so many tokens each."""
    return sum(MINILM.blocks * MINILM.block(length) for length in lengths)


def clip_image_flops() -> int:
    """One image, with the last block for the class token alone."""
    tokens = PATCHES + 1
    patches = 2 * PATCHES * PATCH_VALUES * CLIP_VISION.width
    blocks = (CLIP_VISION.blocks - 1) * CLIP_VISION.block(tokens)
    last = CLIP_VISION.block_for_one(tokens)
    return patches + blocks + last + 2 * CLIP_VISION.width * CLIP_DIMENSION
