"""Very many items, window by window: what is held and lost at a time stays bounded."""

from collections.abc import Callable, Coroutine
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


async def in_windows(embed: EmbedWindow, count: int, length: int) -> Vectors:
    """Vectors of `count` items, at least one, in windows of at most `length`.

    Raises:
        Others: as `embed`.
    """
    of = count if count > length else None
    windows = (embed(slice(start, start + length), of) for start in range(0, count, length))
    return np.concatenate(await together(windows, at_once=AT_ONCE))
