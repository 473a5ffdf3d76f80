"""What other work took of the processors is told beside a suite's figures."""

import subprocess
import sys
import time

import pytest

from benchmarks import others


def test_a_process_that_is_not_the_suites_counts_as_others() -> None:
    share = others.watch_others()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        time.sleep(0.5)
        taken = share()
        process.kill()
    assert taken is not None
    assert 0 < taken <= 1


def test_its_own_work_and_idle_processors_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, busy, own = 100.0, 60.0, 10.0
    seen = iter([(whole, busy, own), (whole + 20, busy + 12, own + 7)])
    monkeypatch.setattr(others, "_seconds", lambda: next(seen))
    assert others.watch_others()() == pytest.approx(0.25)


def test_a_system_that_does_not_tell_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "_seconds", lambda: None)
    assert others.watch_others()() is None
