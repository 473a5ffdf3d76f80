"""What int8 scales are set by: the library's own inputs, and the activations that they cause."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper
from PIL import Image

from vla_embeddings.export.samples import UNUSUAL_TEXTS
from vla_embeddings.models import Artifact
from vla_embeddings.runtime.pixels import SIDE, preprocess
from vla_embeddings.runtime.tokens import Tokenizer
from vla_embeddings.samples import make_instructions, make_scenes

TEXTS = 300
SCENES = 24
SEED = 7  # not the parity samples' seed
BATCHES = 4  # of images, to bound the memory

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

    def __truediv__(self, factors: NDArray[np.float32]) -> "Range":
        return Range(self.low / factors, self.high / factors)

    def __or__(self, other: "Range") -> "Range":
        return Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


def calibration_feeds(artifact: Artifact) -> Iterator[Feeds]:
    """Batches of inputs for an artefact's graph; always the same.

    Args:
        artifact: its kind, its token limit and, for texts, its tokenizer on disk are used.
    """
    kind = artifact.manifest.kind
    if kind == "image":
        yield from ({"pixels": batch} for batch in np.array_split(_images(), BATCHES))
        return
    for ids in Tokenizer(artifact).encode([*make_instructions(TEXTS, seed=SEED), *UNUSUAL_TEXTS]):
        row = np.array([ids])
        feeds = {"input_ids": row, "attention_mask": np.ones_like(row)}
        yield feeds if kind == "text" else {"input_ids": row}


def _images() -> NDArray[np.uint8]:
    scenes = [preprocess(scene.image) for scene in make_scenes(SCENES, seed=SEED)]
    plain = [np.asarray(Image.new("RGB", (SIDE, SIDE), colour)) for colour in PLAIN_COLOURS]
    noise = np.random.default_rng(SEED).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return np.stack([*scenes, *plain, noise])


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
        outputs = cast(Sequence[NDArray[np.float32]], session.run(None, feeds))
        for name, values in zip(activations, outputs, strict=True):
            rows = values.reshape(-1, values.shape[-1])
            seen = Range(rows.min(axis=0), rows.max(axis=0))
            ranges[name] = ranges[name] | seen if name in ranges else seen
    return ranges
