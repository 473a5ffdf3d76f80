"""How much of the processors other work took while a suite ran."""

import os
from collections.abc import Callable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
IDLE = slice(3, 5)
"""Fields of the line `cpu` of /proc/stat, proc(5): idle and iowait."""
SYSTEM = slice(0, 8)
"""All its states, up to steal: time the host gave to another machine. What follows is of guests,
and counted before."""


def watch_others() -> Callable[[], float | None]:
    """Start to watch; what is returned tells the share of all processors since, 0 to 1.

    That is what was neither idle nor of this process and the children it has waited for (those
    still running count as others). None where the system does not tell.
    """
    before = _seconds()

    def share() -> float | None:
        after = _seconds()
        if before is None or after is None:
            return None
        whole, busy, own = (new - old for new, old in zip(after, before, strict=True))
        return round(min(max((busy - own) / whole, 0.0), 1.0), 3) if whole else 0.0

    return share


def _seconds() -> tuple[float, float, float] | None:
    """Of all processors so far: in all, busy, and busy for this process."""
    try:
        head = Path("/proc/stat").read_text().partition("\n")[0]
    except OSError:
        return None
    states = [int(field) / TICKS for field in head.split()[1:]][SYSTEM]
    return sum(states), sum(states) - sum(states[IDLE]), sum(os.times()[:4])
