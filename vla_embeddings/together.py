"""Several coroutines at once, all or none."""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeVar

T = TypeVar("T")


async def together(
    work: Iterable[Coroutine[Any, Any, T]], *, at_once: int | None = None
) -> list[T]:
    """All results, in order; at the first error the others are cancelled, and it is raised.

    Args:
        work: what to do.
        at_once: how many parts of it may be under way; all where None.
    """
    parts = list(work)
    turn = nullcontext() if at_once is None else asyncio.Semaphore(at_once)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_in(turn, part)) for part in parts]
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
    else:
        return [task.result() for task in tasks]
    finally:
        for part in parts:
            part.close()  # one that never had its turn would be reported as never awaited
    raise first


async def _in(turn: AbstractAsyncContextManager[None], part: Coroutine[Any, Any, T]) -> T:
    async with turn:
        return await part
