"""How many CPUs this process may use, and how insistently."""

import logging
import math
import os
import sys
import threading
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

_CGROUP = Path("/sys/fs/cgroup")


def available_cpus() -> int:
    """CPUs of the affinity mask, or of the container's quota where that is smaller; at least 1.

    `os.cpu_count()` counts the machine's, and a thread more than the quota makes every call wait
    for the next scheduling period.
    """
    cpus = len(os.sched_getaffinity(0))
    quota = _cgroup_quota()
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def priority() -> int:
    """How far the calling thread lets others go first: `nice`, 0 as usual, 19 at most."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def lower_priority(nice: int, further: int = 0) -> None:
    """Let the machine's other threads go before the calling one, and before those it starts.

    On Linux alone: elsewhere a priority belongs to the whole process. A sandbox may refuse it, as
    systemd's `SystemCallFilter=~@resources` does: then the thread keeps what it has.

    Args:
        nice: 0, as others, to 19, whatever they leave. A thread that has less priority keeps it.
        further: steps below that, as far as there are.
    """
    if sys.platform != "linux":
        return
    now = priority()
    wanted = min(19, max(nice, now) + further)
    if wanted > now:  # to less would need a privilege
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), wanted)
        except PermissionError as error:
            _warn_of_refusal(str(error))


@cache  # once, not for every thread
def _warn_of_refusal(reason: str) -> None:
    logger.warning(
        "The system refuses threads a lower priority (setpriority: %s), so none of those that "
        "embed lets others go first",
        reason,
    )


def _cgroup_quota() -> float | None:
    """The CPU quota in CPUs: cgroup v2's `cpu.max`, else v1's pair; None where unlimited."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (_CGROUP / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (_CGROUP / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota in ("max", "-1"):
        return None
    return int(quota) / int(period)
