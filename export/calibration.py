"""What int8 scales are set by: the library's own inputs, and the activations that they cause."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper
from PIL import Image
from tokenizers import Tokenizer

from vla_embeddings.export.samples import UNUSUAL_TEXTS
from vla_embeddings.models import Model
from vla_embeddings.runtime import preprocess
from vla_embeddings.samples import make_instructions, make_scenes

TEXTS = 300
SCENES = 24
SEED = 7  # not the parity samples' seed
BATCH = 8

# The extremes of every channel, which scenes alone do not reach: with scenes alone, the worst of
# 68 photographs had a cosine of 0.9966, with these 0.9996.
PLAIN_COLOURS = ("black", "white", "red", "lime", "blue", "yellow", "grey")

Feeds = Mapping[str, NDArray[Any]]
"""One batch of a graph's inputs."""


@dataclass(frozen=True, slots=True)
class Range:
    """The smallest and largest value of each channel of an activation, (channels,) float32."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    @property
    def magnitude(self) -> NDArray[np.float32]:
        """The largest magnitude of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def __or__(self, other: "Range") -> "Range":
        return Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


def calibration_feeds(model: Model, tokenizer: Tokenizer | None) -> Iterator[Feeds]:
    """Batches of inputs for a model's graph; always the same.

    Args:
        model: whose graph.
        tokenizer: its tokenizer; None for images.
    """
    if tokenizer is None:
        scenes = [scene.image for scene in make_scenes(SCENES, seed=SEED)]
        plain = [Image.new("RGB", (224, 224), colour) for colour in PLAIN_COLOURS]
        noise = np.random.default_rng(SEED).integers(0, 256, (224, 224, 3), np.uint8)
        images = np.stack([preprocess(image) for image in (*scenes, *plain, noise)])
        for batch in np.array_split(images, len(images) // BATCH):
            yield {"pixels": batch}
        return
    for text in (*make_instructions(TEXTS, seed=SEED), *UNUSUAL_TEXTS):
        ids = np.array([tokenizer.encode(text).ids[: model.max_tokens]], np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        yield feeds if model.kind == "text" else {"input_ids": ids}


def observe(
    graph: ModelProto, activations: Collection[str], batches: Iterable[Feeds]
) -> dict[str, Range]:
    """The ranges of some activations, (…, channels) float32, over all batches."""
    watched = ModelProto()
    watched.CopyFrom(graph)
    del watched.graph.output[:]
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in activations
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of outputs whose shape is not declared
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    ranges: dict[str, Range] = {}
    for feeds in batches:
        for name, values in zip(activations, session.run(None, feeds), strict=True):
            rows = values.reshape(-1, values.shape[-1])
            seen = Range(rows.min(axis=0), rows.max(axis=0))
            ranges[name] = ranges[name] | seen if name in ranges else seen
    return ranges
