"""Coroutines take turns, as processes do."""

import time
from typing import cast

import pytest

from benchmarks.limits.loopback import Loopback
from benchmarks.turns import (
    OURS,
    Timer,
    latencies,
    rates,
    round_trips,
    take_turns,
    timed,
    warmed,
)


def noting(called: list[str], name: str) -> Timer:
    async def timer(turn: int) -> float:
        called.append(f"{name}{turn}")
        return float(len(called))

    return timer


async def test_each_stands_in_every_place_and_none_twice_in_a_row() -> None:
    called: list[str] = []
    times = await take_turns({name: noting(called, name) for name in "abc"}, 2)
    assert called == ["a0", "b0", "c0", "b1", "c1", "a1", "c2", "a2", "b2"]
    # The first turn is dropped.
    assert times == {"a": [6.0, 8.0], "b": [4.0, 9.0], "c": [5.0, 7.0]}


async def test_a_warmed_work_is_called_once_untimed_in_every_turn() -> None:
    called: list[str] = []
    times = await take_turns({"a": warmed(noting(called, "a"))}, 1)
    assert called == ["a0", "a0", "a1", "a1"]
    assert times == {"a": [4.0]}


async def test_preparing_a_work_is_not_timed_and_its_repeats_are_one_turn() -> None:
    called: list[str] = []

    async def prepare() -> None:
        called.append("prepare")

    async def work() -> None:
        called.append("work")

    [taken] = (await take_turns({OURS: timed(work, repeats=2)}, 1, prepare)).values()

    assert called == ["prepare", "work", "work"] * 2
    assert len(taken) == 1


async def test_a_round_trip_takes_what_the_echo_measured_and_no_more() -> None:
    class Echo:
        name = "loopback"

        def seconds(self, sent: int, received: int) -> float:
            time.sleep(0.001)  # such as to make the bytes that are sent
            return 1e-6

    timer = round_trips(cast(Loopback, Echo()), sent=1, received=1, repeats=3)
    assert await timer(0) == pytest.approx(1e-6)


def test_a_row_of_ours_is_a_share_of_the_limit_and_the_limit_is_named_one() -> None:
    times = {OURS: [2.0, 4.0], "other": [1.0, 1.0], "loopback": [1.0, 1.0]}
    for rows in (latencies("work", times, "loopback"), rates("work", times, 10, "loopback")):
        assert [row.share for row in rows] == [pytest.approx(0.375), None, None]
        assert [row.is_limit for row in rows] == [False, False, True]
