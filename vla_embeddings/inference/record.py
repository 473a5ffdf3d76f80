"""A vector on its way into the database, and what becomes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal["instruction", "image"]


@dataclass(frozen=True, slots=True)
class Inference:
    """Whose vectors they are, and where they belong."""

    analytics_id: int
    """`instruction_analytics.id` and `context_metadata.analytics_id`."""
    customer_id: str | None
    robot_type: str | None

    def fault(self) -> str | None:
        """What the tables could not hold, as a sentence; None where all is well."""
        if not isinstance(self.analytics_id, int) or abs(self.analytics_id) >= 2**63:
            return f"analytics_id must be a 64-bit int; got {self.analytics_id!r}"
        for name, text in (("customer_id", self.customer_id), ("robot_type", self.robot_type)):
            if text is not None and (not isinstance(text, str) or "\0" in text):
                return f"{name} must be a string without NUL; got {text!r}"
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One vector that its customer lets us store, or may let us."""

    inference: Inference
    kind: Kind
    vector: NDArray[np.float32]
    """(384,) for an instruction, (512,) for an image; float32, unit length."""
    accepted: float
    """When it was accepted: seconds of `time.monotonic`."""
    agreed: bool
    """Whether the customer had agreed by then; else the check could not be asked, and nobody but
    the writer, which asks again, may have the vector."""


class Fate(StrEnum):
    """What one attempt to write a record came to."""

    STORED = "stored"
    WAITING = "waiting"
    """The database, or the consent check, could not be asked."""
    WITHDRAWN = "withdrawn"
    """The customer no longer agrees."""
    NO_ROW = "no row"
    BLOCKED = "blocked"
    """Its row is locked, or a trigger refuses it, with an error or without."""
    FOREIGN = "row of another customer"
    REFUSED = "refused by the database"
    """A value of its row breaks a constraint."""
    INVALID = "invalid input"
    NOT_MADE = "not made"
    """Late, and then it failed."""
    QUEUE_FULL = "queue full"
    SHUTDOWN = "shutdown"
    """It still waited when the time to flush was over."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A record, its fate, and a sentence for people where there is more to say."""

    record: Record
    fate: Fate
    detail: str = ""


OnLost: TypeAlias = Callable[[Attempt], None]
"""Told of each vector that its customer lets us store and that will not be stored; called in the
event loop, so it must return soon."""
