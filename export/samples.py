"""The inputs that every graph is proven on."""

import numpy as np
from PIL import Image

from vla_embeddings.export.parity import Inputs
from vla_embeddings.export.references import Samples
from vla_embeddings.models import Model
from vla_embeddings.runtime import preprocess
from vla_embeddings.samples import make_instructions, make_scenes

TEXTS = 128
IMAGES = 24

# What instructions in the field also look like: short, long beyond every token limit, other
# scripts, typing of all kinds.
UNUSUAL_TEXTS = (
    "go",
    "Pick up the RED block!!",
    "nimm den roten Würfel und lege ihn in die blaue Schüssel",
    "拿起红色方块",
    "ارفع المكعب الأحمر",
    "move 12.5cm left, then rotate -90° (slowly)",
    "tabs\tand\nnewlines",
    "🤖 place the cup ☕ on the saucer",
    " ".join(["put the small green cube next to the large yellow cylinder and then"] * 40),
)
# Width and height: 277x277 shows the reference's rounding, the extremes its cropping.
UNUSUAL_SIZES = ((277, 277), (1, 1), (97, 640), (1280, 96), (224, 224), (33, 57))


def parity_samples(model: Model) -> Samples:
    """Robot instructions, or table-top scenes, and unusual ones of each; always the same."""
    if model.kind == "image":
        scenes: list[Image.Image] = [scene.image for scene in make_scenes(IMAGES)]
        return scenes + [scenes[0].resize(size) for size in UNUSUAL_SIZES]
    return [*make_instructions(TEXTS), *UNUSUAL_TEXTS]


def graph_inputs(samples: Samples) -> Inputs:
    """The samples as an encoder takes them: texts as they are, images as pixels."""
    texts = [sample for sample in samples if isinstance(sample, str)]
    if texts:
        return texts
    return np.stack([preprocess(image) for image in samples if not isinstance(image, str)])
