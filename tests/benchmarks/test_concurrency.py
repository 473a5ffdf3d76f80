"""Callers are counted from when all have begun; single calls are timed beside bulk work."""

import asyncio
from typing import cast

import pytest

from benchmarks.beside_bulk import image_waits_beside_bulk
from benchmarks.concurrency import CALLERS, SIZES, _turn
from benchmarks.spread import tail_rank
from vla_embeddings import EmbeddingService


class Slow:
    """Takes long for the first call of each of two callers, and then less, by its own clock."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    async def get_instruction_embedding(self, text: str, *, use_cache: bool) -> None:
        self.asked.append(text)
        self.now += 0.1 if len(self.asked) <= 2 else 0.001
        await asyncio.sleep(0)


async def test_the_first_call_of_each_caller_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = Slow()
    monkeypatch.setattr("benchmarks.concurrency.time", service)
    turn = await _turn(cast(EmbeddingService, service), list("abcdef"), callers=2, each=2)
    assert sorted(service.asked) == list("abcdef")
    assert len(turn.waits) == 4  # of six
    assert turn.per_second > 4 / 0.1  # the time of the first calls alone


class Busy:
    """Notes of each single image whether a bulk call was under way; bulk calls are short."""

    def __init__(self) -> None:
        self.bulks, self.under_way = 0, False
        self.beside: list[bool] = []

    async def batch_generate_embeddings(self, *, images: list[bytes], use_cache: bool) -> None:
        self.bulks, self.under_way = self.bulks + 1, True
        try:
            await asyncio.sleep(0.05)
        finally:
            self.under_way = False

    async def get_image_embedding(self, image: bytes, *, use_cache: bool) -> None:
        self.beside.append(self.under_way)


async def test_single_images_are_timed_while_bulk_calls_follow_each_other() -> None:
    service = Busy()
    waits = await image_waits_beside_bulk(cast(EmbeddingService, service), [b"a", b"b"], 6)
    assert len(waits) == 6
    assert service.beside == [True] * 6
    assert service.bulks > 1
    assert not service.under_way


class Failing(Busy):
    """Cannot do bulk work."""

    async def batch_generate_embeddings(self, *, images: list[bytes], use_cache: bool) -> None:
        raise OSError("no memory")


async def test_bulk_work_that_fails_is_no_idle_time_to_measure_in() -> None:
    with pytest.raises(OSError, match="no memory"):
        await image_waits_beside_bulk(cast(EmbeddingService, Failing()), [b"a"], 6)


@pytest.mark.parametrize("callers", CALLERS)
def test_every_caller_asks_five_times_or_more_and_all_together_enough_for_a_p99(
    callers: int,
) -> None:
    for size in (SIZES["full"], SIZES["long"]):
        assert size.of_each(callers) >= 5
        assert tail_rank(callers * size.of_each(callers)) == 99


def test_of_few_calls_the_90th_percentile_is_told() -> None:
    assert [tail_rank(count) for count in (50, 499, 500)] == [90, 90, 99]
