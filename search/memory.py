"""What one connection looked up by name, for as long as the name means the same there."""

import time
from typing import Generic, TypeAlias, TypeVar

from vla_embeddings.search.handles import Connection, keeps_session

Value = TypeVar("Value")

# Seconds. What another process makes or drops is noticed after at most this long.
FRESH_SECONDS = 60.0

Meaning: TypeAlias = tuple[object, str]
"""The search_path at a moment, and a name."""


class Memory(Generic[Value]):
    """Values by what they were looked up by, each for `FRESH_SECONDS`."""

    def __init__(self) -> None:
        self._reported: bool | None = None
        self._values: dict[Meaning, tuple[float, Value]] = {}

    async def meaning(self, connection: Connection, name: str) -> Meaning:
        """What `name` is remembered by at this moment.

        PostgreSQL 18 reports every change of search_path, so that nothing has to be asked. Older
        ones do not, and behind a pooler the report may be of another session than the next.
        """
        path: object = getattr(connection.get_settings(), "search_path", None)
        if self._reported is None:
            self._reported = path is not None and await keeps_session(connection)
        if not self._reported:
            path = tuple(await connection.fetchval("SELECT pg_catalog.current_schemas(true)"))
        return path, name

    def get(self, meaning: Meaning) -> Value | None:
        """What was added not long ago."""
        seen, value = self._values.get(meaning, (0.0, None))
        return value if _is_fresh(seen) else None

    def clear(self) -> None:
        """Forget all values."""
        self._values = {}

    def add(self, meaning: Meaning, value: Value) -> None:
        """Remember `value`, and drop what is too old."""
        fresh = {key: known for key, known in self._values.items() if _is_fresh(known[0])}
        self._values = {**fresh, meaning: (time.monotonic(), value)}


def _is_fresh(seen: float) -> bool:
    return time.monotonic() - seen < FRESH_SECONDS
