"""Work done together is done by all or by none, and no more at once than asked."""

import asyncio
import gc
import warnings

import pytest

from vla_embeddings.together import together


async def _double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def test_results_come_in_order() -> None:
    assert await together(map(_double, range(5)), at_once=2) == [0, 2, 4, 6, 8]
    assert await together(map(_double, range(5))) == [0, 2, 4, 6, 8]


async def test_no_more_are_under_way_than_asked() -> None:
    under_way: list[int] = []
    most = 0

    async def work(number: int) -> None:
        nonlocal most
        under_way.append(number)
        most = max(most, len(under_way))
        await asyncio.sleep(0)
        under_way.remove(number)

    await together(map(work, range(20)), at_once=3)

    assert most == 3


@pytest.mark.parametrize("at_once", [None, 2])
async def test_an_error_ends_the_others_and_leaves_nothing_behind(at_once: int | None) -> None:
    ended: list[int] = []

    async def work(number: int) -> None:
        if number == 1:
            raise ValueError("the second")
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(number)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="the second"):
            await together(map(work, range(6)), at_once=at_once)
        gc.collect()

    assert 0 in ended
    assert len(asyncio.all_tasks()) == 1
