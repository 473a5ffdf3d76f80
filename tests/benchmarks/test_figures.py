"""The arithmetic behind the figures."""

import numpy as np
import pytest

from benchmarks.flops import CLIP_VISION, MINILM, clip_image_flops, minilm_flops
from benchmarks.quality import neighbours_kept, spearman


def test_minilm_takes_21_million_operations_a_token_and_little_for_attention() -> None:
    assert minilm_flops([1]) == pytest.approx(6 * 24 * 384**2, rel=1e-3)
    assert minilm_flops([12, 12]) == 2 * minilm_flops([12])
    assert minilm_flops([24]) > 2 * minilm_flops([12])


def test_computing_one_token_in_clips_last_block_saves_7_percent_of_the_tower() -> None:
    tokens = 50
    saved = CLIP_VISION.block(tokens) - CLIP_VISION.block_for_one(tokens)
    assert saved / (clip_image_flops() + saved) == pytest.approx(0.07, abs=0.01)


def test_a_block_for_one_token_is_a_block_where_there_is_only_one() -> None:
    assert MINILM.block_for_one(1) == MINILM.block(1)


def test_spearman_gives_ties_their_mean_rank() -> None:
    assert spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [1, 2, 2, 3]) == pytest.approx(0.9486833)  # SciPy's


def test_all_neighbours_of_equal_vectors_are_kept_and_few_of_unrelated_ones() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((200, 8), np.float32)
    assert neighbours_kept(vectors, vectors) == 1
    assert neighbours_kept(vectors, generator.standard_normal((200, 8), np.float32)) < 0.2
