"""Our figures as shares of what the machine can do."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.contest import Limit, Standing


@dataclass(frozen=True, slots=True)
class Share:
    """How near a figure is to a limit: 1 is the limit itself."""

    of: str
    value: float


def nearest_limit(
    ours: Standing, standings: Sequence[Standing], limits: Sequence[Limit]
) -> Share | None:
    """Of the limits to its precision, the one that leaves it the least room; None for a peer."""
    shares = [
        Share(limit.name, standing.timings.times_of(ours.timings).median)
        for limit in limits
        for standing in standings
        if standing.is_called(limit.name) and ours.precision in limit.precisions
    ]
    return max(shares, key=lambda share: share.value, default=None)
