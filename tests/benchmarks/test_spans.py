"""Parts of a call are timed inside it."""

import threading
import time
from types import SimpleNamespace

import pytest

from benchmarks.spans import spans


def slow(value: int) -> int:
    time.sleep(0.002)
    return value


def test_a_wrapped_function_still_works_and_its_calls_are_summed_up_on_any_thread() -> None:
    library = SimpleNamespace(work=slow)
    with spans({"part": (library, "work")}) as taken:
        assert library.work(3) == 3
        thread = threading.Thread(target=lambda: library.work(1))
        thread.start()
        thread.join()
    assert taken["part"] >= 4
    assert library.work is slow


def test_a_part_that_fails_is_timed_too() -> None:
    def fail() -> None:
        raise LookupError

    library = SimpleNamespace(work=fail)
    with spans({"part": (library, "work")}) as taken, pytest.raises(LookupError):
        library.work()
    assert taken["part"] > 0
