"""Coroutines take turns, as processes do."""

import pytest

from benchmarks.turns import OURS, Timer, in_turns, latencies, rates, take_turns


async def test_works_take_turns_in_alternating_order_and_the_first_turn_is_dropped() -> None:
    called: list[str] = []

    def timer(name: str) -> Timer:
        async def timed(turn: int) -> float:
            called.append(f"{name}{turn}")
            return float(turn)

        return timed

    times = await take_turns({"a": timer("a"), "b": timer("b")}, 2)

    assert called == ["a0", "b0", "b1", "a1", "a2", "b2"]
    assert times == {"a": [1.0, 2.0], "b": [1.0, 2.0]}


async def test_preparing_a_work_is_not_timed_and_its_repeats_are_one_turn() -> None:
    called: list[str] = []

    async def prepare() -> None:
        called.append("prepare")

    async def work() -> None:
        called.append("work")

    [taken] = (await in_turns({OURS: work}, 1, prepare, repeats=2)).values()

    assert called == ["prepare", "work", "work"] * 2
    assert len(taken) == 1


def test_a_row_of_ours_is_a_share_of_the_limit_and_the_limit_is_named_one() -> None:
    times = {OURS: [2.0, 4.0], "other": [1.0, 1.0], "loopback": [1.0, 1.0]}
    for rows in (latencies("work", times, "loopback"), rates("work", times, 10, "loopback")):
        assert [row.share for row in rows] == [pytest.approx(0.375), None, None]
        assert [row.is_limit for row in rows] == [False, False, True]
