"""Our figures as shares of what the machine can do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.contest import Standing


@dataclass(frozen=True, slots=True)
class Share:
    """How near a figure is to a limit: 1 is the limit itself."""

    of: str
    value: float


def nearest_limit(ours: Standing, standings: Sequence[Standing]) -> Share | None:
    """Of the limits to its precision, the one that leaves it the least room; None for a peer.

    A limit is its best turn: what the machine did once, it can do.
    """
    shares = [
        Share(each.timings.name, each.timings.best / float(np.median(ours.timings.medians)))
        for each in standings
        if ours.precision in each.bounds
    ]
    return max(shares, key=lambda share: share.value, default=None)
