"""Texts and images to unit vectors: tokenizer or pixels, then the graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.models import Artifact
from vla_embeddings.runtime.batches import pad, token_batches
from vla_embeddings.runtime.pixels import PREPROCESSING_VERSION
from vla_embeddings.runtime.providers import ProviderChoice
from vla_embeddings.runtime.session import Session
from vla_embeddings.runtime.tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Texts to (n, dimension) float32 unit vectors."""

    session: Session
    tokenizer: Tokenizer

    @classmethod
    def load(cls, artifact: Artifact, choice: ProviderChoice, *, threads: int) -> "TextEncoder":
        """Load an artefact; see `Session.load` for the errors."""
        return cls(Session.load(artifact, choice, threads=threads), Tokenizer(artifact))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of the texts, in their order.

        Raises:
            InferenceError: ONNX Runtime failed.
        """
        tokens = self.tokenizer.encode(texts)
        vectors = np.empty((len(tokens), self.session.dimension), np.float32)
        for batch in token_batches([len(ids) for ids in tokens]):
            ids, mask = pad([tokens[index] for index in batch])
            inputs = {"input_ids": ids, "attention_mask": mask}
            vectors[batch] = self.session.run(
                {name: inputs[name] for name in self.session.input_names}
            )
        return vectors


@dataclass(frozen=True, slots=True)
class ImageEncoder:
    """Preprocessed pixels to (n, dimension) float32 unit vectors."""

    session: Session

    @classmethod
    def load(cls, artifact: Artifact, choice: ProviderChoice, *, threads: int) -> "ImageEncoder":
        """Load an artefact; see `Session.load` for the errors."""
        return cls(Session.load(artifact, choice, threads=threads))

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Vectors of one batch of images, in their order.

        Args:
            pixels: (n, 224, 224, 3) uint8 from `preprocess`.

        Raises:
            InferenceError: ONNX Runtime failed.
        """
        return self.session.run({"pixels": pixels})


def cache_fingerprint(artifact: Artifact) -> str:
    """What a vector depends on besides its input, for cache keys."""
    if artifact.manifest.kind == "image":
        return f"{artifact.manifest.fingerprint}/{PREPROCESSING_VERSION}"
    return artifact.manifest.fingerprint
