"""The CPUs counted are those that this process may really use, and its priority is kept."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vla_embeddings.runtime import threads
from vla_embeddings.runtime.threads import available_cpus, lower_priority


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder taken for the control groups', of a process that may use eight CPUs."""
    monkeypatch.setattr(threads, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    return tmp_path


def test_without_a_quota_the_affinity_counts(cgroup: Path) -> None:
    assert available_cpus() == 8


@pytest.mark.parametrize(
    ("content", "cpus"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("50000 100000\n", 1),
        ("1000 100000\n", 1),
        ("6400000 100000\n", 8),
    ],
)
def test_a_quota_of_version_2_counts(cgroup: Path, content: str, cpus: int) -> None:
    (cgroup / "cpu.max").write_text(content)

    assert available_cpus() == cpus


@pytest.mark.parametrize(
    ("quota", "cpus"), [("-1\n", 8), ("300000\n", 3), ("250000\n", 3), ("1000\n", 1)]
)
def test_a_quota_of_version_1_counts(cgroup: Path, quota: str, cpus: int) -> None:
    (cgroup / "cpu").mkdir()
    (cgroup / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (cgroup / "cpu" / "cpu.cfs_period_us").write_text("100000\n")

    assert available_cpus() == cpus


def test_the_affinity_counts_where_it_is_smaller_than_the_quota(
    cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cgroup / "cpu.max").write_text("400000 100000\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5})

    assert available_cpus() == 1


def test_this_process_has_at_least_one() -> None:
    assert 1 <= available_cpus() <= len(os.sched_getaffinity(0))


def _in_a_thread(own: int, nice: int, further: int) -> int:
    """The priority of a thread that had `own` when it was lowered."""

    def lowered() -> int:
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, own)
        lower_priority(nice, further)
        return os.getpriority(os.PRIO_PROCESS, thread)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lowered).result()


@pytest.mark.skipif(sys.platform != "linux", reason="a priority is the whole process's elsewhere")
@pytest.mark.parametrize(
    ("own", "nice", "further", "expected"),
    [(2, 0, 0, 2), (2, 7, 0, 7), (2, 0, 5, 7), (2, 7, 5, 12), (10, 7, 0, 10), (16, 0, 5, 19)],
)
def test_a_priority_is_only_ever_lowered(own: int, nice: int, further: int, expected: int) -> None:
    """Raising it needs a privilege: a process that was started with `nice` keeps what it has."""
    if os.getpriority(os.PRIO_PROCESS, 0) > own:
        pytest.skip("the tests themselves were started with less priority")

    assert _in_a_thread(own, nice, further) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="a priority is the whole process's elsewhere")
def test_a_priority_that_a_sandbox_refuses_is_kept_and_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError("by this test")

    monkeypatch.setattr(os, "setpriority", refuse)
    monkeypatch.setattr(os, "getpriority", lambda *_: 0)

    lower_priority(0, further=5)
    lower_priority(7)

    assert [record.message for record in caplog.records] == [
        "The system refuses threads a lower priority (setpriority: by this test), so none "
        "of those that embed lets others go first"
    ]
