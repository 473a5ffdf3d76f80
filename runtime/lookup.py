"""What is looked up once for all who ask."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from vla_embeddings.runtime.thread_errors import no_thread, panics_as_errors

Result = TypeVar("Result")


class Lookup(Generic[Result]):
    """The result of a look-up, kept until it is forgotten; who asks meanwhile shares it.

    A failure reaches all who wait for it; the next call looks again.

    Args:
        name: of the thread that looks for event loops.
        look_up: called by one thread at a time.
    """

    def __init__(self, name: str, look_up: Callable[[], Result]) -> None:
        self._name = name
        self._look_up = look_up
        self._looking = threading.Lock()
        self._result: Result | None = None
        self._starting = threading.Lock()
        self._under_way: Future[None] | None = None

    @property
    def result(self) -> Result | None:
        """What was found; None before, and once it is forgotten."""
        return self._result

    def get(self) -> Result:
        """What was found, or is now, on the calling thread.

        Raises:
            Others: as `look_up`.
        """
        with self._looking:
            if self._result is None:
                self._result = self._look_up()
            return self._result

    async def ask(self) -> Result:
        """As `get()`, on a thread that callers of all event loops share.

        Raises:
            InferenceError: no thread can be had.
            Others: as `look_up`.
        """
        while (result := self._result) is None:  # also where it was forgotten at once
            await asyncio.wrap_future(self._shared())
        return result

    def forget(self) -> None:
        """Look again at the next call. A look-up under way is waited for and forgotten, too."""
        with self._looking:
            self._result = None

    def _shared(self) -> Future[None]:
        with self._starting:
            if self._under_way is None:
                self._under_way = self._start()
            return self._under_way

    def _start(self) -> Future[None]:
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # a caller that is cancelled takes it from no other
        try:
            threading.Thread(target=self._look, args=(done,), name=self._name).start()
        except RuntimeError as error:
            raise no_thread(error) from error
        return done

    def _look(self, done: Future[None]) -> None:
        try:
            with panics_as_errors():
                self.get()
        except Exception as error:
            self._end()
            done.set_exception(error)
        else:
            self._end()
            done.set_result(None)

    def _end(self) -> None:
        with self._starting:  # or the thread ends before `_shared` has noted that it runs
            self._under_way = None
