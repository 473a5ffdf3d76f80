"""Chunks stored one after the other, each made ready while the one before it is being stored."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

Chunk = TypeVar("Chunk")


class Turn:
    """A chunk's place in the order: when what it changes may be seen by others."""

    def __init__(self, before: asyncio.Task[None] | None = None) -> None:
        self._before = before
        self.taken = asyncio.Event()

    @property
    def must_wait(self) -> bool:
        """Whether a chunk before is still being stored."""
        return self._before is not None and not self._before.done()

    async def wait(self) -> None:
        """Return once the chunk before is stored; raises what kept it from that."""
        if self._before is not None:
            await self._before
        self.taken.set()


async def store_in_order(
    chunks: AsyncIterator[Chunk],
    store: Callable[[Chunk, Turn], Awaitable[int]],
    *,
    may_overlap: Callable[[], bool],
) -> int:
    """The sum of what `store` returns for each of `chunks`.

    A chunk is stored to its end before the next one is asked for. Where `may_overlap`, the next
    is asked for and begun while a chunk is being stored, and has its turn when that is done; so
    two are under way at most. `store` must wait for its turn before it changes anything that
    others see: what is stored, in which order, and which fault is raised are then as if nothing
    overlapped. A fault ends the wait for the next chunk.

    Args:
        may_overlap: whether a second chunk may begin at this moment.
    """
    stored = 0
    latest: asyncio.Task[None] | None = None
    fault: BaseException | None = None

    async def store_one(chunk: Chunk, turn: Turn) -> None:
        nonlocal stored
        try:
            count = await store(chunk, turn)
        except Exception:
            await turn.wait()  # where the chunk before fails too, its fault came first
            raise
        finally:
            turn.taken.set()
        stored += count

    async def end_unless_overlapping() -> None:
        if latest is not None and not may_overlap():
            await latest

    try:
        async with asyncio.TaskGroup() as group:
            try:
                async for chunk in chunks:
                    await end_unless_overlapping()  # its source may have taken a connection
                    turn = Turn(latest)
                    latest = group.create_task(store_one(chunk, turn))
                    await turn.taken.wait()
                    await end_unless_overlapping()
            except Exception:
                if latest is not None:
                    await latest  # what was handed over is stored, though no more comes
                raise
    except BaseExceptionGroup as faults:
        fault = faults.exceptions[0]
    if fault is not None:
        raise fault  # here, where it keeps its own context
    return stored
