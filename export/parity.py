"""Proof that a graph computes its PyTorch model's vectors.

The samples and PyTorch's vectors of them travel with the artefact, so that any machine can prove
it again, without PyTorch and on its own hardware.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.errors import ArtifactDamaged, ParityError
from vla_embeddings.models import Artifact, Kind, Manifest, Parity, Precision
from vla_embeddings.runtime import (
    CPU_CHOICE,
    ImageEncoder,
    ProviderChoice,
    TextEncoder,
    available_cpus,
)

Inputs = Sequence[str] | NDArray[np.uint8]
"""Texts, or preprocessed pixels (n, 224, 224, 3) uint8."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The largest difference that a precision may cause in any vector."""

    max_abs_delta: float
    min_cosine: float

    def allows(self, parity: Parity) -> bool:
        """Whether a measurement is within the bound; NaN never is."""
        return parity.max_abs_delta <= self.max_abs_delta and parity.min_cosine >= self.min_cosine


UNBOUNDED = 2.0  # the most that unit vectors differ by
HALF_BOUND = Bound(max_abs_delta=UNBOUNDED, min_cosine=0.9995)
BOUNDS: Mapping[Precision, Bound] = {
    "fp32": Bound(max_abs_delta=1e-4, min_cosine=0.99999),
    "fp16": HALF_BOUND,
    "fp16-tensorrt": HALF_BOUND,
}
# Each allows two to five times the distance that was measured (docs/adr/0004-int8.md).
INT8_BOUNDS: Mapping[Kind, Bound] = {
    "text": Bound(max_abs_delta=UNBOUNDED, min_cosine=0.99),
    "image": Bound(max_abs_delta=UNBOUNDED, min_cosine=0.998),
    "clip-text": Bound(max_abs_delta=UNBOUNDED, min_cosine=0.995),
}


def encode(
    artifact: Artifact, inputs: Inputs, choice: ProviderChoice = CPU_CHOICE
) -> NDArray[np.float32]:
    """The artefact's vectors of the inputs, (n, dimension) float32."""
    threads = available_cpus()
    if isinstance(inputs, np.ndarray):
        return ImageEncoder.load(artifact, choice, threads).encode(inputs)
    return TextEncoder.load(artifact, choice, threads).encode(inputs)


def measure(vectors: NDArray[np.float32], expected: NDArray[np.float32]) -> Parity:
    """Compare unit vectors with PyTorch's, both (n, dimension) float32."""
    cosines = np.einsum("nd,nd->n", vectors, expected, dtype=np.float64)
    return Parity(
        samples=len(vectors),
        max_abs_delta=float(np.abs(vectors - expected).max()),
        min_cosine=float(cosines.min()),
    )


def bound_of(manifest: Manifest) -> Bound:
    """The bound of a precision, in int8 also of a kind."""
    if manifest.precision == "int8":
        return INT8_BOUNDS[manifest.kind]
    return BOUNDS[manifest.precision]


def require(parity: Parity, manifest: Manifest) -> None:
    """Check a measurement against its bound.

    Raises:
        ParityError: it is outside.
    """
    bound = bound_of(manifest)
    if not bound.allows(parity):
        raise ParityError(
            f"{manifest.model} {manifest.precision} differs from its PyTorch model on "
            f"{parity.samples} samples: max |Δ| {parity.max_abs_delta:.2e} "
            f"(allowed {bound.max_abs_delta:.0e}), "
            f"min cosine {parity.min_cosine:.6f} (allowed {bound.min_cosine})."
        )


def save_samples(path: Path, inputs: Inputs, expected: NDArray[np.float32]) -> None:
    """Write the inputs and PyTorch's vectors of them."""
    np.savez_compressed(path, inputs=np.asarray(inputs), expected=expected)


def verify(artifact: Artifact, choice: ProviderChoice = CPU_CHOICE) -> Parity:
    """Prove an artefact again: its files, then its vectors on this machine.

    Raises:
        ArtifactDamaged: its files are not what the manifest says.
        ParityError: its vectors are not what PyTorch computed when it was exported.
    """
    parity = compare(artifact, choice)
    require(parity, artifact.manifest)
    return parity


def compare(artifact: Artifact, choice: ProviderChoice) -> Parity:
    """Hold its vectors on this machine against those that PyTorch computed at its export.

    Raises:
        ArtifactDamaged: its files are not what the manifest says.
    """
    artifact.verify()
    try:
        with artifact.parity.open("rb") as file, np.load(file) as samples:
            inputs, expected = samples["inputs"], samples["expected"]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise ArtifactDamaged(
            f"{artifact.parity} cannot be read: {error}. Make it anew: {artifact.remedy}"
        ) from error
    texts_or_pixels = inputs.tolist() if inputs.dtype.kind == "U" else inputs
    return measure(encode(artifact, texts_or_pixels, choice), expected)
