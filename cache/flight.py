"""Equal work in flight is done once."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")

_Slot = tuple[asyncio.AbstractEventLoop, Hashable]


@dataclass(slots=True, weakref_slot=True, eq=False)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0


class SingleFlight(Generic[T]):
    """Shares one computation among all callers that ask for the same key meanwhile.

    The computation runs in a task of its own, so a caller that is cancelled takes nothing from
    the others; when the last one is, so is the computation. Callers in different event loops do
    not share.
    """

    def __init__(self) -> None:
        # Weakly: a loop that is closed in the middle leaves nobody who waits for them.
        self._flights: WeakValueDictionary[_Slot, _Flight[T]] = WeakValueDictionary()

    async def run(self, key: Hashable, compute: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `compute()`, or of the run that is under way for `key`.

        All callers get the same object. An error reaches all of them; the next call after it
        computes anew.
        """
        loop = asyncio.get_running_loop()
        slot = (loop, key)
        flight = self._flights.get(slot) or self._take_off(slot, compute)
        flight.waiting += 1
        try:
            # Unlike await, wait leaves the task running when this caller is cancelled.
            await asyncio.wait((flight.task,))
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                # Before it ends: who asks from now on must not get the cancellation.
                self._clear(slot, flight)
                if not loop.is_closed():
                    flight.task.cancel()
        return flight.task.result()

    def _take_off(self, slot: _Slot, compute: Callable[[], Coroutine[Any, Any, T]]) -> _Flight[T]:
        loop, _ = slot
        flight = self._flights[slot] = _Flight(loop.create_task(compute()))
        flight.task.add_done_callback(lambda done: self._land(slot, flight))
        return flight

    def _land(self, slot: _Slot, flight: _Flight[T]) -> None:
        self._clear(slot, flight)
        if not flight.task.cancelled():
            flight.task.exception()  # or asyncio complains where every caller was cancelled

    def _clear(self, slot: _Slot, flight: _Flight[T]) -> None:
        if self._flights.get(slot) is flight:
            del self._flights[slot]
