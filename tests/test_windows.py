"""Very many items: window by window, in order, while the event loop runs on."""

import numpy as np
import pytest

from tests.test_turns import OtherTask
from vla_embeddings.windows import Vectors, in_windows, rows_of

DIMENSION = 3


def vectors_of(places: range) -> Vectors:
    return np.repeat(np.array(places, np.float32)[:, None], DIMENSION, axis=1)


@pytest.mark.parametrize(
    ("count", "of"), [(0, []), (1, [None]), (4, [None]), (5, [5, 5]), (11, [11, 11, 11])]
)
async def test_vectors_come_in_the_order_of_their_items(count: int, of: list[int | None]) -> None:
    told: list[int | None] = []

    async def embed(window: slice, in_all: int | None) -> Vectors:
        told.append(in_all)
        return vectors_of(range(count)[window])

    vectors = await in_windows(embed, count, 4, DIMENSION)

    assert np.array_equal(vectors, vectors_of(range(count)))
    assert vectors.dtype == np.float32
    assert told == of


async def test_rows_are_taken_by_their_places_while_the_event_loop_runs_on() -> None:
    places = [7, 0, 7, 3, 9, 9, 1]

    async with OtherTask() as other:
        rows = await rows_of(vectors_of(range(10)), places, 2)

    assert np.array_equal(rows, vectors_of(range(10))[places])
    assert other.turns == 4
