"""How many items are put into batches."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

# Padded tokens in one batch. A CPU takes the least time per token at about 384: smaller matrix
# products are slower, and larger batches are padded more and leave its cache.
# docs/adr/0005-throughput.md has the measurements.
TOKEN_BUDGET = 384


# What a CPU can pad in a batch before another batch, with its own pass over the weights, would
# take less time. docs/adr/0005-throughput.md has the measurements.
PADDING = 16


def token_batches(
    lengths: Sequence[int], budget: int = TOKEN_BUDGET, *, padding: int | None = PADDING
) -> Iterator[list[int]]:
    """Indices of texts, grouped so that no group exceeds `budget` tokens once padded.

    Texts of like length share a batch, which pads them with at most `padding` tokens in all,
    however many where None. A text longer than the budget is a batch of its own.
    """
    batch: list[int] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        padded = lengths[index] * (len(batch) + 1)
        tokens += lengths[index]
        if batch and (padded > budget or (padding is not None and padded - tokens > padding)):
            yield batch
            batch, tokens = [], lengths[index]
        batch.append(index)
    if batch:
        yield batch


def even_batches(count: int, most: int) -> list[range]:
    """`count` items in the fewest ranges of at most `most`; lengths differ by at most one."""
    batches = -(-count // most)
    return [
        range(count * number // batches, count * (number + 1) // batches)
        for number in range(batches)
    ]


def pad(rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids padded with zeros to the longest row, and the mask of real tokens.

    Returns:
        Two arrays (n, tokens) int64.
    """
    longest = max(map(len, rows))
    ids = np.zeros((len(rows), longest), np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask
