"""Waiting for what a background task will have done."""

import asyncio
from collections.abc import Awaitable, Callable

POLL_SECONDS = 0.02
PATIENCE_SECONDS = 20


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    """Return once the check holds; AssertionError where it does not for long."""
    for _ in range(int(PATIENCE_SECONDS / POLL_SECONDS)):
        if await check():
            return
        await asyncio.sleep(POLL_SECONDS)
    raise AssertionError(f"still not so after {PATIENCE_SECONDS} s")
