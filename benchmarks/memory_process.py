"""Many calls in one process: `python -m benchmarks.memory_process CALLS SAMPLES DEVICE`.

Embeds texts of 1 to 200 words; every tenth call an image of 200 to 1,900 pixels a side, as a JPEG
or an array; and every 199th call a hundred texts in bulk. Prints
`{"calls": ..., "megabytes": ...}`, the resident memory, SAMPLES times.
"""

import asyncio
import io
import json
import random
import sys
from collections.abc import Iterator
from itertools import islice

import numpy as np
from PIL import Image

from vla_embeddings import EmbeddingConfig, EmbeddingService
from vla_embeddings.runtime import ImageInput
from vla_embeddings.samples import make_instructions, make_scenes

WORDS = 200
SIDES = (200, 1900)
IMAGE_EVERY = 10
BULK_EVERY = 199
BULK = 100


def resident_megabytes() -> float:
    """VmRSS, which counts the pages of mapped files, too."""
    with open("/proc/self/status") as status:
        [kilobytes] = [line.split()[1] for line in status if line.startswith("VmRSS")]
    return int(kilobytes) / 1000


def _texts(generator: random.Random) -> Iterator[str]:
    words = " ".join(make_instructions(500)).split()
    while True:
        count = round(WORDS ** generator.random())  # as many of 3 words as of 30
        start = generator.randrange(len(words) - count)
        yield " ".join(words[start : start + count])


def _images(generator: random.Random) -> Iterator[ImageInput]:
    scenes = [scene.image for scene in make_scenes(8)]
    while True:
        size = (generator.randint(*SIDES), generator.randint(*SIDES))
        scene = generator.choice(scenes).resize(size, Image.Resampling.NEAREST)
        if generator.random() < 0.5:
            yield np.asarray(scene)
            continue
        file = io.BytesIO()
        scene.save(file, "JPEG")
        yield file.getvalue()


async def _call(calls: int, samples: int, device: str) -> None:
    generator = random.Random(0)
    texts, images = _texts(generator), _images(generator)
    config = EmbeddingConfig.model_validate({"device": device, "precision": "auto"})
    async with EmbeddingService(config=config, allow_untrained=True) as service:
        for call in range(1, calls + 1):
            if call % BULK_EVERY == 0:
                await service.batch_generate_embeddings(list(islice(texts, BULK)), use_cache=False)
            elif call % IMAGE_EVERY == 0:
                await service.get_image_embedding(next(images), use_cache=False)
            else:
                await service.get_instruction_embedding(next(texts), use_cache=False)
            if call % (calls // samples) == 0:
                print(json.dumps({"calls": call, "megabytes": resident_megabytes()}), flush=True)


if __name__ == "__main__":
    asyncio.run(_call(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
