"""Equal work in flight is done once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Shares one computation among all callers that ask for the same key meanwhile.

    The computation runs in a task of its own, so a caller that is cancelled takes nothing from
    the others. Callers in different event loops do not share.
    """

    def __init__(self) -> None:
        self._tasks: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[T]] = {}

    async def run(self, key: str, compute: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `compute()`, or of the run that is under way for `key`.

        All callers get the same object. An error reaches all of them; the next call after it
        computes anew.
        """
        loop = asyncio.get_running_loop()
        task = self._tasks.get((loop, key))
        if task is None:
            task = loop.create_task(compute())
            self._tasks[loop, key] = task
            task.add_done_callback(lambda done: self._land((loop, key), done))
        # Unlike await, wait leaves the task running when this caller is cancelled.
        await asyncio.wait((task,))
        return task.result()

    def _land(self, slot: tuple[asyncio.AbstractEventLoop, str], done: asyncio.Task[T]) -> None:
        del self._tasks[slot]
        if not done.cancelled():
            done.exception()  # or asyncio complains where every caller was cancelled
