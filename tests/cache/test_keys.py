"""A key names its model and content, and nothing else shares it."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_embeddings.cache import image_key, instruction_key
from vla_embeddings.errors import InvalidInput


def test_keys_stay_the_same_between_releases() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)

    assert [
        instruction_key("model", "pick up the red block"),
        image_key("model", pixels),
        image_key("model", pixels.tobytes()),
    ] == [
        "embedding:instruction:49b5ecc58e57a9c0465114c1ecf5f07b",
        "embedding:image:22ef1f549cc75a8adef87e238e77bd84",
        "embedding:image:92e94d0ff684be9a78ac4995b4b2bcc1",
    ]


def test_a_key_holds_a_hash_of_128_bits_and_no_text() -> None:
    assert re.fullmatch("embedding:instruction:[0-9a-f]{32}", instruction_key("m", "secret plan"))
    assert re.fullmatch("embedding:image:[0-9a-f]{32}", image_key("m", b"\xff\xd8"))


@given(st.text(), st.text(), st.text(), st.text())
def test_keys_are_equal_only_where_model_and_text_are(a: str, b: str, c: str, d: str) -> None:
    assert (instruction_key(a, b) == instruction_key(c, d)) == ((a, b) == (c, d))


def test_the_same_bytes_as_file_and_as_pixels_have_different_keys() -> None:
    pixels = np.arange(12, dtype=np.uint8)

    assert image_key("m", pixels) != image_key("m", pixels.tobytes())


def test_the_shape_of_pixels_counts() -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)

    assert image_key("m", pixels) != image_key("m", pixels.reshape(3, 2, 3))


def test_the_memory_layout_of_pixels_does_not_count() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    flipped = np.ascontiguousarray(pixels[:, ::-1])[:, ::-1]

    assert image_key("m", flipped) == image_key("m", pixels)
    assert image_key("m", np.asfortranarray(pixels)) == image_key("m", pixels)


def test_pixels_that_are_not_uint8_are_refused() -> None:
    with pytest.raises(InvalidInput, match="float64"):
        image_key("m", np.zeros((2, 2, 3)))  # type: ignore[arg-type]  # the mistake under test


def test_a_text_that_utf8_cannot_hold_has_a_key() -> None:
    assert instruction_key("m", "\ud800") != instruction_key("m", "\ud801")
