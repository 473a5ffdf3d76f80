"""A stored vector beside a fresh one."""

import numpy as np
from numpy.typing import NDArray

UNIT_TOLERANCE = 0.01
"""A vector within this of length 1 counts as one: half precision, which `halfvec` columns hold,
rounds each number by at most 0.0005 of it."""


def fault_of(stored: NDArray[np.float32], dimension: int) -> str | None:
    """Why a stored vector has no cosine to one of `dimension` numbers; None where it has."""
    if stored.size != dimension:
        return f"Its vector has {stored.size} dimensions; the model's have {dimension}."
    length = length_of(stored)
    if not np.isfinite(length):
        return "Its vector holds NaN or infinity."
    return None if length else "Its vector is of zero length, so it has no direction."


def length_of(vector: NDArray[np.float32]) -> float:
    """Its Euclidean length, in float64: squares of what float32 holds do not overflow there."""
    return float(np.linalg.norm(vector.astype(np.float64)))


def cosine(stored: NDArray[np.float32], fresh: NDArray[np.float32]) -> float:
    """Of two vectors without a fault, -1 to 1."""
    product = float(np.dot(stored.astype(np.float64), fresh.astype(np.float64)))
    return product / (length_of(stored) * length_of(fresh))


def is_unit(vector: NDArray[np.float32]) -> bool:
    """Whether its length is 1, within `UNIT_TOLERANCE`."""
    return abs(length_of(vector) - 1) <= UNIT_TOLERANCE
