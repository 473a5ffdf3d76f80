"""The speeds this project holds itself to, on a two-core CPU and on a GPU.

Ratios are to a peer, or to our fp32, in the same run. The platform's document says 15 ms an
instruction and 50 ms an image on a CPU, 3 and 8 on a GPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vla_embeddings.models import Precision

ONE_INSTRUCTION = "one instruction, 12 tokens"
PACED_INSTRUCTION = "one instruction, 20 ms after the last"
ONE_IMAGE = "one 640x480 JPEG"
INSTRUCTIONS = "instructions in bulk"
IMAGES = "640x480 JPEGs in bulk"
FIRST_VECTOR = "first vector in a new process"

GPU_PRECISIONS: Sequence[Precision] = ("fp16", "fp16-tensorrt")


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on one of our figures, or on its ratio to a peer's."""

    work: str
    precision: Precision
    against: str | None
    """The peer's or limit's name without its version, or None for a bound in milliseconds."""
    bound: float


LATENCY = (
    Target(ONE_INSTRUCTION, "fp32", "sentence-transformers", 0.22),
    Target(ONE_INSTRUCTION, "fp32", "fastembed", 0.75),
    Target(ONE_INSTRUCTION, "fp32", "fastembed (our graph)", 0.75),
    Target(ONE_INSTRUCTION, "fp32", None, 4.0),
    Target(ONE_INSTRUCTION, "int8", "sentence-transformers", 0.22),
    Target(ONE_INSTRUCTION, "int8", "fastembed", 0.75),
    Target(ONE_INSTRUCTION, "int8", None, 2.5),
    Target(ONE_INSTRUCTION, "int8", "ours fp32", 1 / 1.3),
    Target(ONE_IMAGE, "fp32", "transformers", 0.50),
    Target(ONE_IMAGE, "int8", "transformers", 0.33),
    Target(ONE_IMAGE, "fp32", "fastembed", 0.85),
    Target(ONE_IMAGE, "int8", "fastembed", 0.60),
    Target(ONE_IMAGE, "int8", None, 50.0),
)
"""On a CPU, at most: seconds of ours to the peer's, or milliseconds."""

LATENCY_ON_GPU = tuple(
    Target(work, precision, None, bound)
    for work, bound in ((ONE_INSTRUCTION, 1.0), (ONE_IMAGE, 2.0))
    for precision in GPU_PRECISIONS
)
"""At most: milliseconds."""

THROUGHPUT = (
    Target(INSTRUCTIONS, "fp32", "fastembed", 3.3),
    Target(INSTRUCTIONS, "fp32", "fastembed (our graph)", 3.3),
    Target(INSTRUCTIONS, "fp32", "sentence-transformers", 1.7),
    Target(INSTRUCTIONS, "fp32", "sgemm peak", 0.80),
    Target(INSTRUCTIONS, "int8", "ours fp32", 1.3),
    Target(IMAGES, "fp32", "fastembed", 1.3),
    Target(IMAGES, "int8", "fastembed", 2.0),
)
"""On a CPU, at least: our inputs a second to the peer's."""

FIRST_VECTOR_SECONDS = 0.8
FIRST_VECTOR_MB = 250.0
RESIDENT_GROWTH = 1.05
"""The most memory of many calls, to that after the first of them."""


def targets_of(targets: Sequence[Target], work: str, precision: Precision) -> list[Target]:
    """Those for one work in one precision."""
    return [each for each in targets if (each.work, each.precision) == (work, precision)]
