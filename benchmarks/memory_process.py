"""Many calls in one process: `python -m benchmarks.memory_process CALLS SAMPLES DEVICE`.

Embeds texts of 1 to 200 words, and now and then what `RARER` says: images of 200 to 1,900 pixels a
side, as JPEGs or arrays, and bulk and concurrent calls. Prints `{"calls": ..., "megabytes": ...}`,
the resident memory, SAMPLES times.
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
BULK_TEXTS, BULK_IMAGES, CALLERS = 100, 8, 16

RARER = {499: "images in bulk", 199: "texts in bulk", 97: "callers", 37: "query", 10: "image"}
"""What every so many calls is done, the rarest first."""


def resident_megabytes() -> float:
    """VmRSS, which counts the pages of mapped files, too; its kB are 1,024 bytes (proc(5))."""
    with open("/proc/self/status") as status:
        [kilobytes] = [line.split()[1] for line in status if line.startswith("VmRSS")]
    return 1024 * int(kilobytes) / 1e6


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


def kind_of(call: int) -> str:
    """What a call of this number, from 1 on, does."""
    return next((kind for every, kind in RARER.items() if call % every == 0), "text")


async def _embed(
    kind: str, service: EmbeddingService, texts: Iterator[str], images: Iterator[ImageInput]
) -> None:
    match kind:
        case "images in bulk":
            await service.batch_generate_embeddings(
                images=list(islice(images, BULK_IMAGES)), use_cache=False
            )
        case "texts in bulk":
            await service.batch_generate_embeddings(
                list(islice(texts, BULK_TEXTS)), use_cache=False
            )
        case "callers":
            at_once = islice(texts, CALLERS)
            await asyncio.gather(
                *(service.get_instruction_embedding(text, use_cache=False) for text in at_once)
            )
        case "query":
            await service.get_image_query_embedding(next(texts), use_cache=False)
        case "image":
            await service.get_image_embedding(next(images), use_cache=False)
        case _:
            await service.get_instruction_embedding(next(texts), use_cache=False)


async def _call(calls: int, samples: int, device: str) -> None:
    generator = random.Random(0)
    texts, images = _texts(generator), _images(generator)
    config = EmbeddingConfig.model_validate({"device": device, "precision": "auto"})
    async with EmbeddingService(config=config, allow_untrained=True) as service:
        for call in range(1, calls + 1):
            await _embed(kind_of(call), service, texts, images)
            if call % (calls // samples) == 0:
                print(json.dumps({"calls": call, "megabytes": resident_megabytes()}), flush=True)


if __name__ == "__main__":
    asyncio.run(_call(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
