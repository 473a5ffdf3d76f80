"""Batches keep every text once, within the budget, and pad little."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vla_embeddings.runtime.batches import even_batches, pad, token_batches

LENGTHS = st.lists(st.integers(2, 300), max_size=200)
BUDGETS = st.integers(1, 2000)
ROWS = st.lists(st.lists(st.integers(1, 30_000), min_size=1, max_size=20), min_size=1, max_size=20)


@given(LENGTHS, BUDGETS)
def test_every_text_is_in_one_batch(lengths: list[int], budget: int) -> None:
    batches = list(token_batches(lengths, budget))

    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(batches)


@given(LENGTHS, BUDGETS)
def test_no_batch_exceeds_the_budget_once_padded(lengths: list[int], budget: int) -> None:
    for batch in token_batches(lengths, budget):
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget


@given(LENGTHS, BUDGETS)
def test_texts_of_like_length_share_a_batch(lengths: list[int], budget: int) -> None:
    """No text of one batch is shorter than any text of the batch before."""
    batches = list(token_batches(lengths, budget))

    for before, after in pairwise(batches):
        assert max(lengths[i] for i in before) <= min(lengths[i] for i in after)


@given(st.integers(0, 500), st.integers(1, 40))
def test_even_batches_hold_every_item_once_and_differ_by_one(count: int, most: int) -> None:
    batches = even_batches(count, most)

    assert [place for batch in batches for place in batch] == list(range(count))
    assert len(batches) == -(-count // most)
    lengths = [*map(len, batches)] or [0]
    assert max(lengths) <= min(most, min(lengths) + 1)


@given(LENGTHS, BUDGETS, st.integers(0, 100))
def test_a_batch_is_padded_no_more_than_another_would_cost(
    lengths: list[int], budget: int, padding: int
) -> None:
    for batch in token_batches(lengths, budget, padding=padding):
        own = [lengths[index] for index in batch]
        assert max(own) * len(own) - sum(own) <= padding


def test_without_a_limit_to_padding_the_budget_alone_parts_batches() -> None:
    assert list(token_batches([2, 50, 3, 40], 200, padding=None)) == [[0, 2, 3, 1]]
    assert list(token_batches([2, 50, 3, 40], 200)) == [[0, 2], [3, 1]]


def test_no_texts_make_no_batch() -> None:
    assert list(token_batches([])) == []


@given(ROWS)
def test_padding_keeps_the_tokens_and_masks_the_rest(rows: list[list[int]]) -> None:
    ids, mask = pad(rows)

    assert ids.shape == mask.shape == (len(rows), max(map(len, rows)))
    assert ids.dtype == mask.dtype == np.int64
    for row, tokens, real in zip(rows, ids, mask, strict=True):
        assert tokens[: len(row)].tolist() == row
        assert real.tolist() == [1] * len(row) + [0] * (ids.shape[1] - len(row))
