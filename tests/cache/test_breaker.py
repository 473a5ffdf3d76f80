"""The breaker opens on failures in a row, and one probe a second may close it."""

import logging
import time

import pytest
from prometheus_client import REGISTRY

from vla_embeddings.cache import breaker
from vla_embeddings.cache.breaker import Breaker, worst


def opened() -> Breaker:
    one = Breaker("redis://test")
    for _ in range(3):
        one.failed("TimeoutError", time.monotonic())
    return one


def test_three_failures_in_a_row_open_it() -> None:
    one, states = Breaker("redis://test"), []
    for succeeds in (False, False, True, False, False, False):
        if succeeds:
            one.succeeded()
        else:
            one.failed("TimeoutError", time.monotonic())
        states.append(one.state)

    assert states == ["closed"] * 5 + ["open"]


def test_operations_that_fail_together_count_once() -> None:
    one, started = Breaker("redis://test"), time.monotonic()

    for _ in range(10):
        one.failed("TimeoutError", started)

    assert one.state == "closed"


@pytest.mark.usefixtures("no_probe")
def test_a_probe_waits_for_the_cooldown() -> None:
    assert not opened().begin_probe()


def test_one_caller_probes_and_the_outcome_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "COOLDOWN_SECONDS", 0.0)
    one, states = opened(), []

    assert [one.begin_probe(), one.begin_probe()] == [True, False]
    states.append(one.state)
    one.failed("TimeoutError", time.monotonic())
    states.append(one.state)
    assert one.begin_probe()
    one.succeeded()
    states.append(one.state)

    assert states == ["half-open", "open", "closed"]


def test_a_probe_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "COOLDOWN_SECONDS", 0.0)
    monkeypatch.setattr(breaker, "PROBE_SECONDS", 0.0)
    one = opened()

    assert [one.begin_probe(), one.begin_probe()] == [True, True]


def test_each_change_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(breaker, "COOLDOWN_SECONDS", 0.0)
    one = opened()
    for _ in range(5):
        one.begin_probe()
        one.failed("TimeoutError", time.monotonic())
    one.begin_probe()
    one.succeeded()

    assert caplog.messages == [
        "redis://test fails (TimeoutError); going on without it",
        "redis://test answers again",
    ]
    assert {record.__dict__["server"] for record in caplog.records} == {"redis://test"}
    assert caplog.records[0].__dict__["reason"] == "TimeoutError"


def test_the_metric_tells_the_worst_state_of_all_caches_of_a_server() -> None:
    def told() -> float | None:
        return REGISTRY.get_sample_value(
            "embedding_cache_breaker_state", {"server": "redis://told"}
        )

    failing = Breaker("redis://told")
    for _ in range(3):
        failing.failed("TimeoutError", time.monotonic())
    well = Breaker("redis://told")
    told_with_both = told()
    del failing

    assert (told_with_both, told(), well.state) == (2.0, 0.0, "closed")


def test_the_worst_state_speaks_for_all() -> None:
    assert worst([]) == "closed"
    assert worst([Breaker("redis://test"), opened()]) == "open"
