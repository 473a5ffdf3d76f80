"""The arithmetic behind the figures."""

import numpy as np
import pytest

from benchmarks.flops import clip_image_flops, minilm_flops
from benchmarks.quality import neighbours_kept, spearman


def test_minilm_takes_21_million_operations_a_token_and_little_for_attention() -> None:
    assert minilm_flops([1]) == pytest.approx(6 * 24 * 384**2, rel=1e-3)
    assert minilm_flops([12, 12]) == 2 * minilm_flops([12])
    assert minilm_flops([24]) > 2 * minilm_flops([12])


def test_the_trimmed_clip_tower_takes_8_of_the_full_ones_8_7_billion_operations() -> None:
    # 4.4 billion multiply-adds for ViT-B/32 at 224 pixels (arXiv 2010.11929, table 6, halved).
    assert clip_image_flops() == pytest.approx(8.2e9, rel=0.02)


def test_spearman_gives_ties_their_mean_rank() -> None:
    assert spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [1, 2, 2, 3]) == pytest.approx(0.9486833)  # SciPy's


def test_all_neighbours_of_equal_vectors_are_kept_and_few_of_unrelated_ones() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((200, 8), np.float32)
    assert neighbours_kept(vectors, vectors) == 1
    assert neighbours_kept(vectors, generator.standard_normal((200, 8), np.float32)) < 0.2
