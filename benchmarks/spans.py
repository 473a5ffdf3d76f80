"""What parts of a call take, timed inside it: functions of the library, wrapped for a while."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

Spans = dict[str, float]
"""Milliseconds by name, of all calls since it was last cleared."""


@contextmanager
def spans(functions: Mapping[str, tuple[Any, str]]) -> Iterator[Spans]:
    """Time every call of some functions, one at a time on whatever thread, until the end.

    Args:
        functions: by the name of the span, the module or class that is asked for the function,
            and what it is called there.
    """
    taken: Spans = {}
    with ExitStack() as stack:
        for name, (owner, attribute) in functions.items():
            work = _timed(getattr(owner, attribute), name, taken)
            stack.enter_context(patch.object(owner, attribute, work))
        yield taken


def _timed(work: Callable[..., Any], name: str, taken: Spans) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return work(*arguments, **named)
        finally:
            taken[name] = taken.get(name, 0.0) + 1e3 * (time.perf_counter() - start)

    return timed
