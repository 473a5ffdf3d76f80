"""How one searches with asyncpg alone."""

from benchmarks.search.inputs import TABLE, TOP_K

DISTANCE = "embedding <=> $1"
SELECT = f"SELECT id, instruction, bucket, 1 - ({DISTANCE}) AS similarity FROM {TABLE}"


def nearest(*, where: str = "") -> str:
    """As pgvector's README has it: an index serves its order where the planner chooses it.

    With the vector as it is, which needs pgvector's codec on the connection.
    """
    return f"{SELECT} {where} ORDER BY {DISTANCE} LIMIT {TOP_K}"


def nearest_within(distance: float) -> str:
    """Likewise those of the nearest within a distance, which the README puts outside of a CTE."""
    return (
        f"WITH nearest AS MATERIALIZED ({nearest()}) "
        f"SELECT * FROM nearest WHERE similarity >= {1 - distance!r} ORDER BY similarity DESC"
    )


def exact(*, where: str = "") -> str:
    """Every row that passes is compared: no index has the order of a sum."""
    return f"{SELECT} {where} ORDER BY ({DISTANCE}) + 0 LIMIT {TOP_K}"
