"""How far figures may lie apart without meaning anything."""

import math

import pytest

from vla_embeddings.tracking.noise import LEAST, MOST_TURNS, UNKNOWN, costs_of, tolerance


def test_few_references_tell_little_about_the_noise() -> None:
    assert tolerance([0.001], 10) == UNKNOWN
    assert tolerance([0.001, -0.001, 0.001, 0.0], 10) == LEAST
    assert tolerance([0.1, -0.1, 0.1, -0.1], 10) > 0.3


def test_the_more_figures_are_compared_the_further_one_of_them_must_move() -> None:
    moves = [0.02, -0.03, 0.01, -0.02, 0.03]
    assert tolerance(moves, 100) > 1.2 * tolerance(moves, 5)


def test_single_calls_are_taken_together_so_that_the_luckiest_is_no_figure() -> None:
    calls = [1.0] + [2.0] * 499
    assert costs_of(calls, more_is_better=False) == [pytest.approx(math.log(2))] * MOST_TURNS
    assert min(costs_of(calls[:5], more_is_better=False)) == 0
