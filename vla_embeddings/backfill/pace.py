"""A limit to the rows a second."""

import asyncio
from contextlib import suppress

from vla_embeddings.errors import InvalidInput


def check_rate(rows_per_second: float | None) -> None:
    """InvalidInput for what is no rate."""
    if rows_per_second is not None and not 0 < rows_per_second < float("inf"):
        raise InvalidInput(
            f"rows_per_second must be a number above 0, or None; got {rows_per_second!r}."
        )


class Pace:
    """Lets blocks of `block_rows` pass at no more than `rows_per_second`; None is no limit."""

    def __init__(self, rows_per_second: float | None, *, block_rows: int) -> None:
        # A block is at most a second's worth, so that a low rate does not come in bursts.
        self.block_rows = min(block_rows, max(1, int(rows_per_second or block_rows)))
        self._seconds = self.block_rows / rows_per_second if rows_per_second else 0.0
        self._next = 0.0

    async def wait(self, stop: asyncio.Event) -> None:
        """Return when the next block may pass, or `stop` is set."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._next)
        self._next = start + self._seconds
        if start > now:
            with suppress(TimeoutError):
                async with asyncio.timeout(start - now):
                    await stop.wait()
