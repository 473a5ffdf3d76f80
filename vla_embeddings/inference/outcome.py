"""What an inference gets: each vector, or the reason why it is not there."""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.errors import EmbeddingsDisabled, InvalidInput, Overloaded
from vla_embeddings.metrics import INFERENCE_OUTCOMES

logger = logging.getLogger(__name__)


class Reason(StrEnum):
    """Why there is no vector."""

    LATE = "late"
    """Not ready within the budget; stored all the same once it is."""
    OVERLOADED = "overloaded"
    """Too many embeddings are under way or waiting; none was begun."""
    DISABLED = "disabled"
    """EMBEDDING_ENABLE_EMBEDDINGS is false."""
    INVALID_INPUT = "invalid input"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One vector, float32, unit length, read-only; or None, with the reason and an explanation."""

    vector: NDArray[np.float32] | None
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Both embeddings of one inference."""

    instruction: Outcome
    """Its vector has shape (384,)."""
    image: Outcome
    """Its vector has shape (512,)."""


async def outcome_of(embedding: Awaitable[NDArray[np.float32]]) -> Outcome:
    """Await one embedding; what it raises becomes the outcome."""
    try:
        vector = await embedding
        vector.setflags(write=False)  # it goes to the caller and to the database
        return Outcome(vector)
    except Exception as error:
        outcome = _failure(error)
    if outcome.reason is Reason.FAILED:
        logger.warning("No embedding: %s", outcome.detail, extra={"reason": str(outcome.reason)})
    return outcome


def counted(embedded: Embedded) -> Embedded:
    """The same, once the metrics have taken note of it."""
    outcomes = {"instruction": embedded.instruction, "image": embedded.image}
    for kind, outcome in outcomes.items():
        INFERENCE_OUTCOMES.labels(kind, outcome.reason or "returned").inc()
    return embedded


def _failure(error: Exception) -> Outcome:
    match error:
        case InvalidInput():
            reason = Reason.INVALID_INPUT
        case Overloaded():
            reason = Reason.OVERLOADED
        case EmbeddingsDisabled():
            reason = Reason.DISABLED
        case _:
            reason = Reason.FAILED
    return Outcome(None, reason, f"{type(error).__name__}: {error}")
