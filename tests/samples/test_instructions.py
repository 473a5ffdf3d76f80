"""The demo's instructions are distinct, natural in length and the same for the same seed."""

import re

import pytest

from vla_embeddings.errors import InvalidInput
from vla_embeddings.samples.instructions import MAX_COUNT, make_instructions


def test_all_instructions_are_distinct() -> None:
    instructions = make_instructions(5_000)

    assert len(set(instructions)) == 5_000


def test_a_seed_always_gives_the_same_instructions() -> None:
    assert make_instructions(50, seed=3) == make_instructions(50, seed=3)
    assert make_instructions(50, seed=3) != make_instructions(50, seed=4)


def test_fewer_instructions_are_the_first_of_many() -> None:
    assert make_instructions(10) == make_instructions(100)[:10]


def test_lengths_are_mixed_from_3_to_20_words() -> None:
    lengths = [len(text.split()) for text in make_instructions(5_000)]

    assert (min(lengths), max(lengths)) == (3, 20)
    assert all(lengths.count(words) >= 50 for words in range(4, 15))


def test_every_instruction_is_plain_lower_case_english() -> None:
    assert all(re.fullmatch(r"[a-z, ]+", text) for text in make_instructions(5_000))


@pytest.mark.parametrize("count", [-1, MAX_COUNT + 1])
def test_an_impossible_count_is_refused(count: int) -> None:
    with pytest.raises(InvalidInput, match=f"got {count}"):
        make_instructions(count)
