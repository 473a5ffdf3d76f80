"""The plain clients that cache and search are held against, in this process."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Client:
    """A client as its own documentation has it used."""

    package: str
    """On PyPI."""
    set_up: str
    on: tuple[str, ...]
    """The packages that do its work, its own first."""


CLIENTS: Mapping[str, Client] = {
    "redis-py": Client(
        "redis",
        "redis.asyncio.Redis with its parser in C: GET, MGET, and SET in a pipeline without a "
        "transaction",
        ("redis", "hiredis"),
    ),
    "asyncpg": Client(
        "asyncpg",
        "one asyncpg connection with pgvector's binary codec: fetch, executemany and "
        "copy_records_to_table",
        ("asyncpg", "pgvector"),
    ),
}
"""By the name that their rows begin with."""
