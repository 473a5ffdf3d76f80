"""Statements that may take long, and leave nothing half done: a stop cancels them."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` returns; None where `stop` is set before it ends, or before it begins."""
    if stop.is_set():
        work.close()
        return None
    running = asyncio.ensure_future(work)
    watching = asyncio.create_task(_cancel_at(stop, running))
    try:
        return await running
    except asyncio.CancelledError:
        caller = asyncio.current_task()
        if caller is None or caller.cancelling():
            raise
        return None
    finally:
        watching.cancel()


async def _cancel_at(stop: asyncio.Event, running: "asyncio.Future[T]") -> None:
    await stop.wait()
    running.cancel()
