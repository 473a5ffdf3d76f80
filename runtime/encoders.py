"""Texts and images to unit vectors: tokenizer or pixels, then the graph."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.models import Artifact
from vla_embeddings.runtime.batches import pad, token_batches
from vla_embeddings.runtime.pixels import PREPROCESSING_VERSION
from vla_embeddings.runtime.providers import CPU, ProviderChoice
from vla_embeddings.runtime.session import Session
from vla_embeddings.runtime.tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Texts to (n, dimension) float32 unit vectors."""

    session: Session
    tokenizer: Tokenizer
    threads: int
    """Batches that are encoded at a time."""

    @classmethod
    def load(cls, artifact: Artifact, choice: ProviderChoice, *, threads: int) -> "TextEncoder":
        """Load an artefact; see `Session.load` for the errors."""
        session = Session.load(artifact, choice, threads=threads)
        # A GPU runs one batch after the other anyway.
        at_once = threads if session.provider == CPU else 1
        return cls(session, Tokenizer(artifact), at_once)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of the texts, in their order.

        Raises:
            InferenceError: ONNX Runtime failed.
        """
        tokens = self.tokenizer.encode(texts)
        vectors = np.empty((len(tokens), self.session.dimension), np.float32)

        def encode_batch(batch: list[int]) -> None:
            ids, mask = pad([tokens[index] for index in batch])
            inputs = {"input_ids": ids, "attention_mask": mask}
            vectors[batch] = self.session.run(
                {name: inputs[name] for name in self.session.input_names}
            )

        batches = list(token_batches([len(ids) for ids in tokens]))
        if len(batches) == 1:  # a single call need not wait for threads to start
            encode_batch(batches[0])
            return vectors
        # The threads of one run wait for each other at every operator; two runs do not.
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(encode_batch, batches))
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
