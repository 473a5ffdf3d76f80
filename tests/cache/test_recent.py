"""The memory of this process is small and forgets in time."""

import numpy as np

from vla_embeddings.cache.recent import RecentEntries

ONE = np.ones(1, np.float32)


def test_the_least_recently_used_entry_goes_first() -> None:
    recent = RecentEntries(2)
    recent.put_many([(b"a", ONE, 60), (b"b", ONE, 60)])
    recent.get_many([b"a"])

    recent.put_many([(b"c", ONE, 60)])

    assert set(recent.get_many([b"a", b"b", b"c"])) == {b"a", b"c"}


def test_an_entry_whose_time_is_over_is_not_found() -> None:
    recent = RecentEntries(2)
    recent.put_many([(b"a", ONE, 60), (b"a", ONE, 0), (b"b", ONE, -5)])

    assert recent.get_many([b"a", b"b"]) == {}


def test_a_capacity_of_zero_holds_nothing() -> None:
    recent = RecentEntries(0)
    recent.put_many([(b"a", ONE, 60)])

    assert recent.get_many([b"a"]) == {}
