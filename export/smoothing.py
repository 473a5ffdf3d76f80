"""SmoothQuant: moving the spread between activation channels into the weights."""

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 1e-5  # what a channel counts as that is always zero


def smoothing_factors(
    activations: NDArray[np.float32], weights: NDArray[np.float32], alpha: float
) -> NDArray[np.float32]:
    """What to divide each activation channel by, and multiply its row of weights by.

    The product stays what it was; with one scale for all channels, it loses less to rounding.
    Equation 4 of arXiv 2211.10438.

    Args:
        activations: (channels,), the largest magnitude of each.
        weights: (channels, outputs), of all products that read the activations.
        alpha: how much of the spread moves, from 0 to 1.

    Returns:
        (channels,), with a geometric mean of 1.
    """
    rows = np.abs(weights).max(axis=1)
    logs = alpha * np.log(np.maximum(activations, _SMALLEST))
    logs -= (1 - alpha) * np.log(np.maximum(rows, _SMALLEST))
    factors: NDArray[np.float32] = np.exp(logs - logs.mean()).astype(np.float32)
    return factors
