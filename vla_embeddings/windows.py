"""Very many items, window by window: what is held and lost at a time stays bounded."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.together import together

Vectors = NDArray[np.float32]
EmbedWindow = Callable[[slice, int | None], Coroutine[Any, Any, Vectors]]
"""Vectors of the items of a window; and how many there are in all, None where it has them all."""

AT_ONCE = 2
"""One is looked up, prepared or stored while the other is encoded."""


def under_way(count: int, length: int) -> int:
    """How many of `count` items are looked up, prepared or encoded at a time, at most."""
    return min(count, AT_ONCE * length)


async def in_windows(embed: EmbedWindow, count: int, length: int, dimension: int) -> Vectors:
    """Vectors of `count` items, (count, dimension), in windows of at most `length`.

    Raises:
        Others: as `embed`.
    """
    # Filled window by window: to put very many together at the end would stop the event loop.
    vectors = np.empty((count, dimension), np.float32)
    of = count if count > length else None

    async def fill(window: slice) -> None:
        vectors[window] = await embed(window, of)

    await together(
        (fill(slice(start, start + length)) for start in range(0, count, length)), at_once=AT_ONCE
    )
    return vectors


async def rows_of(vectors: Vectors, places: Sequence[int], length: int) -> Vectors:
    """`vectors[places]`, so many rows at a time; the event loop has a turn after each."""
    rows = np.empty((len(places), vectors.shape[1]), np.float32)
    for start in range(0, len(places), length):
        window = slice(start, start + length)
        rows[window] = vectors[places[window]]
        await asyncio.sleep(0)
    return rows
