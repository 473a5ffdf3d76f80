"""Very many texts leave the event loop its turns."""

import asyncio
from typing import Self

import pytest

from vla_embeddings.turns import CHARACTERS, in_turns


class OtherTask:
    """Counts how often it has its turn on the event loop, while the block runs."""

    turns = 0

    async def __aenter__(self) -> Self:
        self._counting = asyncio.create_task(self._count())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._counting.cancel()

    async def _count(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)


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
    async with OtherTask() as other:
        assert [pair async for pair in in_turns(texts)] == list(enumerate(texts))
    assert other.turns == turns
