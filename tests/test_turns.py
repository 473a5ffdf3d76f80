"""Very many texts leave the event loop its turns."""

import asyncio

import pytest

from vla_embeddings.turns import CHARACTERS, in_turns


async def _turns_beside(texts: list[str]) -> int:
    """How often another task had its turn while they were taken."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert [pair async for pair in in_turns(texts)] == list(enumerate(texts))
    counting.cancel()
    return turns


@pytest.mark.parametrize(
    ("texts", "turns"),
    [
        ([], 0),
        (["go"] * 100, 0),
        (["x" * CHARACTERS] * 20, 20),
        (["x" * (CHARACTERS // 4)] * 40, 10),
        (["x"] * 20_000, 10),
    ],
    ids=["none", "few", "long", "shorter", "very many"],
)
async def test_the_event_loop_has_its_turns_by_characters_and_by_texts(
    texts: list[str], turns: int
) -> None:
    assert await _turns_beside(texts) == turns
