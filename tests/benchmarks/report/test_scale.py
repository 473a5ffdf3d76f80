"""Axes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report.scale import scale_from_zero, scale_over, scale_through

finite = st.floats(-1e9, 1e9).filter(lambda value: value == 0 or abs(value) > 1e-9)


@given(st.lists(finite, min_size=1))
def test_every_value_lies_on_its_axis(values: list[float]) -> None:
    for scale in (scale_over(values), scale_through(values), scale_from_zero(values)):
        assert all(-1e-9 <= scale.share(value) <= 1 + 1e-9 for value in values)
        assert scale.low <= scale.ticks[0] < scale.ticks[-1] <= scale.high
        assert len(scale.ticks) <= 20


def test_values_that_differ_much_get_a_logarithmic_axis_between_round_numbers() -> None:
    scale = scale_over([1.9, 260.0])
    assert scale.log
    assert (scale.low, scale.high) == (1, 500)
    assert scale.share(10) - scale.share(1) == pytest.approx(scale.share(100) - scale.share(10))


def test_values_alike_get_an_axis_of_their_own_and_others_start_at_zero() -> None:
    assert scale_over([0.88, 0.99]).low == pytest.approx(0.85)
    assert scale_over([3.0, 9.0]).low == 0


def test_batch_sizes_are_named_on_their_axis() -> None:
    assert scale_through([1, 2, 4, 8, 16, 32, 64]).ticks == [1, 2, 4, 8, 16, 32, 64]


def test_chosen_values_too_close_to_be_named_give_way_to_round_ones() -> None:
    assert scale_through([1, 100, 101, 1000]).ticks == pytest.approx([1, 10, 100, 1000])


def test_both_ends_of_a_long_logarithmic_axis_are_named() -> None:
    assert scale_over([0.018, 26]).ticks == pytest.approx([0.01, 0.1, 1, 10, 50])
    assert scale_over([1.9, 262]).ticks == pytest.approx([1, 10, 100, 500])


def test_what_is_to_be_seen_in_its_proportion_starts_at_zero() -> None:
    scale = scale_from_zero([1035.0, 1071.0])
    assert (scale.low, scale.log) == (0, False)
    assert scale_from_zero([1.0, 60.0]).ticks == [0, 20, 40, 60]


def test_values_apart_by_their_last_digit_alone_have_an_axis() -> None:
    scale = scale_over([1e9, math.nextafter(1e9, 0)])

    assert scale.low < scale.high
