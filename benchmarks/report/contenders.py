"""Who a figure belongs to: ours, a peer, or the machine itself."""

from collections.abc import Set

from benchmarks.results import Findings, Role, Row, role_of


def is_ours(subject: str) -> bool:
    """Whether this library's line is called so."""
    return role_of(subject) == "ours"


def limits(findings: Findings) -> Set[str]:
    """What the machine can do, by name: rows that say so, and what a row is held against."""
    marked = {row.subject for row in findings.rows if row.is_limit}
    return marked | {row.limit for row in findings.rows if row.limit is not None}


def role_in(row: Row, machine: Set[str]) -> Role:
    """Whose it is; `machine` are the names of its limits."""
    return "limit" if row.subject in machine else row.whose
