"""Very many texts on the event loop, which runs on in between."""

import asyncio
from collections.abc import AsyncIterator, Iterable

CHARACTERS = 100_000
"""Between two turns of the event loop, and one more text: to check or hash so many takes 3 ms at
most."""

# What a text costs by itself, however short, in characters.
_A_TEXT = 50


async def in_turns(texts: Iterable[str]) -> AsyncIterator[tuple[int, str]]:
    """The texts, numbered; the event loop has a turn after each `CHARACTERS` of them."""
    taken = 0
    for index, text in enumerate(texts):
        yield index, text
        taken += len(text) + _A_TEXT
        if taken >= CHARACTERS:
            taken = 0
            await asyncio.sleep(0)
