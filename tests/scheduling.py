"""Which tests share a process, and which start first, where several processes share them."""

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadFileScheduling

SUITES = "tests/benchmarks/suites/"
LONGEST = (
    "tests/backfill/test_ray.py",
    SUITES,
    "tests/export/test_quantization.py",
    "tests/benchmarks/test_on_gpu.py",
    "tests/test_readme.py",
    "tests/cli/test_commands.py",
)
"""What takes longest, so that no process is left alone with it at the end."""


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """The tests of a file run in one process, those of the benchmarks' suites all in the same."""

    def _split_scope(self, nodeid: str) -> str:
        return SUITES if nodeid.startswith(SUITES) else super()._split_scope(nodeid)


def longest_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """In the order of `LONGEST`, the others after them as they were."""
    return sorted(items, key=_place)


def _place(item: pytest.Item) -> int:
    found = (place for place, name in enumerate(LONGEST) if item.nodeid.startswith(name))
    return next(found, len(LONGEST))
