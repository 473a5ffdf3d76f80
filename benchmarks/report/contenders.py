"""Who a figure belongs to: ours, a peer, or the machine itself."""

from collections.abc import Set
from typing import Literal

from benchmarks.results import Findings

Kind = Literal["ours", "peer", "limit"]


def is_ours(subject: str) -> bool:
    """Whether this library's figure is called so."""
    return subject.startswith("ours")


def limits(findings: Findings) -> Set[str]:
    """What the machine can do, by name: rows that say so, and what a row is held against."""
    marked = {row.subject for row in findings.rows if row.is_limit}
    return marked | {row.limit for row in findings.rows if row.limit is not None}


def kind_of(subject: str, machine: Set[str]) -> Kind:
    """Which of the three it is; `machine` are the names of its limits."""
    if subject in machine:
        return "limit"
    return "ours" if is_ours(subject) else "peer"
