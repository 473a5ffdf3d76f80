"""Paired measuring tells a slower function from noise."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from benchmarks.harness import Timings, interleave
from benchmarks.spread import Spread, median_interval

TURNS = [[slice(0, 1)] * 5] * 12
WARM_UP = slice(0, 1)


@dataclass(frozen=True)
class Simulated:
    """Takes a base time, that of the machine's mood, and noise of 10 % now and then 3x."""

    name: str
    base: float
    mood: Callable[[], float]
    generator: random.Random

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        return [self.base * self.mood() * self.noise() for _ in parts]

    def noise(self) -> float:
        spike = 3.0 if self.generator.random() < 0.05 else 1.0
        return spike * math.exp(self.generator.gauss(0, 0.1))


@dataclass(frozen=True)
class Counting:
    """Really works: adds numbers, so many for each part; what else runs counts for nothing."""

    name: str
    numbers: int

    def seconds(self, parts: Sequence[slice]) -> list[float]:
        seconds = []
        for _ in parts:
            start = time.thread_time()
            sum(range(self.numbers))
            seconds.append(time.thread_time() - start)
        return seconds


def simulate(first: float, second: float, seed: int) -> tuple[Timings, Timings]:
    """Two contenders on a machine that becomes half as fast while they take turns."""
    calls = 0

    def mood() -> float:
        nonlocal calls
        calls += 1
        return 1 + calls / 140

    generator = random.Random(seed)
    contenders = [
        Simulated("first", first, mood, generator),
        Simulated("second", second, mood, generator),
    ]
    one, other = interleave(contenders, TURNS, warm_up=WARM_UP)
    return one, other


def differs_from_one(ratio: Spread) -> bool:
    """Whether it is more than the noise of its measurement."""
    return not ratio.low <= 1 <= ratio.high


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.harness.SETTLE_SECONDS", 0)


def test_noise_and_drift_are_not_taken_for_a_difference() -> None:
    flagged = [
        differs_from_one(first.times_of(second))
        for first, second in (simulate(1.0, 1.0, seed) for seed in range(100))
    ]
    assert sum(flagged) <= 4


def test_a_function_slower_by_a_third_is_flagged() -> None:
    ratios = [first.times_of(second) for first, second in (simulate(4, 3, s) for s in range(20))]
    assert all(differs_from_one(ratio) for ratio in ratios)
    assert all(1.2 < ratio.median < 1.5 for ratio in ratios)


def test_a_function_that_really_does_three_times_the_work_is_flagged() -> None:
    contenders = [Counting("slowed", 60_000), Counting("plain", 20_000)]
    slowed, plain = interleave(contenders, TURNS, warm_up=WARM_UP)
    ratio = slowed.times_of(plain)
    assert ratio.low > 1
    assert differs_from_one(ratio)


def test_contenders_take_turns_on_the_same_parts_in_alternating_order() -> None:
    seen: list[tuple[str, slice]] = []

    @dataclass(frozen=True)
    class Noting:
        name: str

        def seconds(self, parts: Sequence[slice]) -> list[float]:
            seen.extend((self.name, part) for part in parts)
            return [1.0] * len(parts)

    turns = [[slice(4, 6)], [slice(6, 8)]]
    timings = interleave([Noting("a"), Noting("b")], turns, warm_up=WARM_UP)
    timed = [each for each in seen if each[1] != WARM_UP]
    first, second = turns[0][0], turns[1][0]
    assert timed == [("a", first), ("b", first), ("b", second), ("a", second)]
    assert timings[0].turns == ((0.5,), (0.5,))  # seconds per input


@pytest.mark.parametrize(("every_turn", "warm_ups"), [(True, 3 + 2), (False, 1)])
def test_contenders_warm_up_at_first_and_where_turns_are_short_before_each(
    every_turn: bool, warm_ups: int
) -> None:
    seen: list[slice] = []

    class Noting:
        name = "noting"

        def seconds(self, parts: Sequence[slice]) -> list[float]:
            seen.extend(parts)
            return [1.0] * len(parts)

    interleave([Noting()], [[slice(4, 6)]] * 2, warm_up=WARM_UP, every_turn=every_turn)

    assert seen.count(WARM_UP) == warm_ups


def test_the_interval_of_twelve_turns_leaves_out_one_at_each_end() -> None:
    spread = median_interval([float(n) for n in range(1, 13)])
    assert (spread.low, spread.median, spread.high) == (2, 6.5, 11)


def test_the_interval_of_few_turns_is_their_range() -> None:
    spread = median_interval([3.0, 1.0, 2.0])
    assert (spread.low, spread.median, spread.high) == (1, 2, 3)


def test_a_pause_is_made_before_every_part_and_not_timed() -> None:
    @dataclass
    class Watching:
        """Notes when it is called, but for warming up."""

        name: str
        times: list[float]

        def seconds(self, parts: Sequence[slice]) -> list[float]:
            if parts[0] != WARM_UP:
                self.times.append(time.perf_counter())
            return [0.001] * len(parts)

    watching = Watching("watching", [])
    turns = [[slice(1, 2)] * 3] * 2

    [timings] = interleave([watching], turns, warm_up=WARM_UP, pause=0.01)

    assert timings.turns == ((0.001,) * 3,) * 2
    assert len(watching.times) == 6
    assert min(np.diff(watching.times)) >= 0.01
