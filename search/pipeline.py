"""Chunks stored one after the other, each made ready while the one before it is being stored."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias, TypeVar

Chunk = TypeVar("Chunk")

Before: TypeAlias = Awaitable[object] | None
"""Done when the chunk before is stored; raises what kept it from that. None where it is."""


async def store_in_order(
    chunks: AsyncIterator[Chunk],
    store: Callable[[Chunk, Before], Awaitable[int]],
    *,
    may_overlap: Callable[[], bool],
) -> int:
    """The sum of what `store` returns for each of `chunks`, at most two of them at a time.

    `store` must await its second argument before it changes anything that others see. So what
    is stored, in which order, and which fault is raised are as if it ran for one chunk at a time.

    Args:
        may_overlap: whether a second one may begin at this moment.
    """
    stored = 0
    earlier: asyncio.Task[int] | None = None
    latest: asyncio.Task[int] | None = None
    try:
        async for chunk in chunks:
            if earlier is not None:
                await earlier
            if latest is not None and not may_overlap():
                stored, latest = stored + await latest, None
            earlier, latest = latest, asyncio.create_task(_total(chunk, store, latest))
        return stored + (await latest if latest is not None else 0)
    except asyncio.CancelledError:
        running = [task for task in (latest, earlier) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        raise
    except Exception:
        if latest is not None:
            await latest  # where it fails too, its fault came first
        raise


async def _total(
    chunk: Chunk,
    store: Callable[[Chunk, Before], Awaitable[int]],
    before: asyncio.Task[int] | None,
) -> int:
    """What `store` returns for this chunk and all before it."""
    try:
        count = await store(chunk, before)
    except Exception:
        if before is not None:
            await before  # where it fails too, its fault came first
        raise
    return count + (await before if before is not None else 0)
