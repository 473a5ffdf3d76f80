"""The entries used most recently, kept in this process."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class RecentEntries:
    """A bounded map from key to vector; the least recently used goes first.

    Safe to use from several threads.

    Args:
        capacity: most entries held; 0 holds nothing.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[bytes, tuple[NDArray[np.float32], float]] = OrderedDict()
        self._lock = threading.Lock()

    def get_many(self, names: Iterable[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """The vectors that are here and whose time is not over."""
        found: dict[bytes, NDArray[np.float32]] = {}
        now = time.monotonic()
        with self._lock:
            if not self._entries:
                return found
            for name in names:
                entry = self._entries.get(name)
                if entry is not None and now < entry[1]:
                    self._entries.move_to_end(name)
                    found[name] = entry[0]
        return found

    def put_many(self, entries: Iterable[tuple[bytes, NDArray[np.float32], float]]) -> None:
        """Hold vectors, each for some seconds; they must not change afterwards."""
        if not self._capacity:
            return
        now = time.monotonic()
        with self._lock:
            for name, vector, seconds in entries:
                self._entries[name] = (vector, now + seconds)
                self._entries.move_to_end(name)
            while len(self._entries) > self._capacity:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget all entries."""
        with self._lock:
            self._entries.clear()
