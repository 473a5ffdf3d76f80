"""A vector on its way into the database."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal["instruction", "image"]

LossReason: TypeAlias = Literal[
    "queue full", "no row", "row of another customer", "refused by the database", "shutdown"
]


@dataclass(frozen=True, slots=True)
class Inference:
    """Whose vectors they are, and where they belong."""

    analytics_id: int
    """`instruction_analytics.id` and `context_metadata.analytics_id`."""
    customer_id: str
    robot_type: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One vector that its customer lets us store."""

    inference: Inference
    kind: Kind
    vector: NDArray[np.float32]
    """(384,) for an instruction, (512,) for an image; float32, unit length."""
    accepted: float
    """When it was accepted: seconds of `time.monotonic`."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A vector that was to be stored and was not."""

    record: Record
    reason: LossReason
    detail: str


OnLost: TypeAlias = Callable[[Lost], None]
"""Told of each vector lost, from the event loop: it must return soon."""
