"""Texts and images to unit vectors: tokenizer or pixels, then the graph."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.models import Artifact
from vla_embeddings.runtime.batches import PADDING, even_batches, pad, token_batches
from vla_embeddings.runtime.pixels import PREPROCESSING_VERSION
from vla_embeddings.runtime.providers import ProviderChoice
from vla_embeddings.runtime.session import Session
from vla_embeddings.runtime.tokens import Tokenizer

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)
Vectors = NDArray[np.float32]
Pixels = NDArray[np.uint8] | Sequence[NDArray[np.uint8]]
"""Images of (224, 224, 3) from `preprocess`: an array (n, 224, 224, 3), or one of each."""

IMAGE_BATCH = 8
"""Images that one run encodes at most; more are no faster, and take memory."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Items that one run of a graph encodes."""

    places: Sequence[int]
    """Where they are among all."""
    run: Callable[[], Vectors]
    """Gives their vectors; InferenceError where ONNX Runtime failed."""


class Encoder(Protocol[Item_contra]):
    """Items to unit vectors."""

    @property
    def session(self) -> Session:
        """What runs the graph."""
        ...

    def batches(self, items: Sequence[Item_contra]) -> list[Batch]:
        """The items cut into batches, which may run in any order, also at once."""
        ...


def encode(encoder: Encoder[Item], items: Sequence[Item]) -> Vectors:
    """Vectors of the items, (n, dimension) float32, in their order, batch after batch.

    Raises:
        InferenceError: ONNX Runtime failed.
    """
    batches = encoder.batches(items)
    return in_order(batches, [batch.run() for batch in batches], encoder.session.dimension)


def in_order(batches: Sequence[Batch], vectors: Sequence[Vectors], dimension: int) -> Vectors:
    """What batches gave, (n, dimension) float32, in the order of the items."""
    count = sum(len(batch.places) for batch in batches)
    ordered = np.empty((count, dimension), np.float32)
    for batch, part in zip(batches, vectors, strict=True):
        ordered[batch.places] = part
    return ordered


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Texts to (n, dimension) float32 unit vectors."""

    session: Session
    tokenizer: Tokenizer
    padding: int | None = PADDING
    """See `token_batches`. A GPU takes longer to start a run than to pad one."""

    @classmethod
    def load(cls, artifact: Artifact, choice: ProviderChoice, threads: int) -> "TextEncoder":
        """Load an artefact; see `Session.load` for the errors."""
        return cls(
            Session.load(artifact, choice, threads=threads),
            Tokenizer(artifact),
            PADDING if choice.device == "cpu" else None,
        )

    def batches(self, items: Sequence[str]) -> list[Batch]:
        """Texts of like length together, at most `TOKEN_BUDGET` tokens in a batch."""
        tokens = self.tokenizer.encode(items)
        return [
            Batch(places, partial(self._run, [tokens[place] for place in places]))
            for places in token_batches(list(map(len, tokens)), padding=self.padding)
        ]

    def encode(self, items: Sequence[str]) -> Vectors:
        """Vectors of the texts; see `encode`."""
        return encode(self, items)

    def _run(self, tokens: Sequence[Sequence[int]]) -> Vectors:
        ids, mask = pad(tokens)
        inputs = {"input_ids": ids, "attention_mask": mask}
        return self.session.run({name: inputs[name] for name in self.session.input_names})


@dataclass(frozen=True, slots=True)
class ImageEncoder:
    """Pixels to (n, dimension) float32 unit vectors."""

    session: Session

    @classmethod
    def load(cls, artifact: Artifact, choice: ProviderChoice, threads: int) -> "ImageEncoder":
        """Load an artefact; see `Session.load` for the errors."""
        return cls(Session.load(artifact, choice, threads=threads))

    def batches(self, items: Sequence[NDArray[np.uint8]]) -> list[Batch]:
        """Even batches of at most `IMAGE_BATCH`."""
        return [
            Batch(places, partial(self._run, [items[place] for place in places]))
            for places in even_batches(len(items), IMAGE_BATCH)
        ]

    def encode(self, items: Pixels) -> Vectors:
        """Vectors of the images; see `encode`."""
        return encode(self, list(items))

    def _run(self, images: Sequence[NDArray[np.uint8]]) -> Vectors:
        return self.session.run({"pixels": np.stack(images)})


def cache_fingerprint(artifact: Artifact) -> str:
    """What a vector depends on besides its input, for cache keys."""
    if artifact.manifest.kind == "image":
        return f"{artifact.manifest.fingerprint}/{PREPROCESSING_VERSION}"
    return artifact.manifest.fingerprint
