"""Callers are counted from when all have begun."""

import asyncio
from typing import cast

import pytest

from benchmarks.concurrency import CALLERS, SIZES, _turn
from benchmarks.spread import tail_rank
from vla_embeddings import EmbeddingService


class Slow:
    """Takes long for the first call of each of two callers, and then a moment."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def get_instruction_embedding(self, text: str, *, use_cache: bool) -> None:
        self.asked.append(text)
        await asyncio.sleep(0.1 if len(self.asked) <= 2 else 0.001)


async def test_the_first_call_of_each_caller_is_not_counted() -> None:
    service = Slow()
    turn = await _turn(cast(EmbeddingService, service), list("abcdef"), callers=2, each=2)
    assert sorted(service.asked) == list("abcdef")
    assert len(turn.waits) == 4  # of six
    assert turn.per_second > 4 / 0.1  # the time of the first calls alone


@pytest.mark.parametrize("callers", CALLERS)
def test_every_caller_asks_five_times_or_more_and_all_together_enough_for_a_p99(
    callers: int,
) -> None:
    for size in (SIZES["full"], SIZES["long"]):
        assert size.of_each(callers) >= 5
        assert tail_rank(callers * size.of_each(callers)) == 99


def test_of_few_calls_the_90th_percentile_is_told() -> None:
    assert [tail_rank(count) for count in (50, 499, 500)] == [90, 90, 99]
