"""An entry gives back the vector that was stored under its key, or nothing."""

import random
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import ArrayLike

from vla_embeddings.cache.entry import Storage, as_vector, expiry_ms, pack, unpack
from vla_embeddings.errors import InvalidInput

KEY = b"embedding:instruction:1"


def entry(vector: ArrayLike, storage: Storage = "float32", key: bytes = KEY) -> bytes:
    return pack(key, as_vector(vector, storage), 1_700_000_000_123, storage)


@pytest.mark.parametrize("dimension", [1, 384, 512, 4096])
def test_float32_comes_back_bit_for_bit(dimension: int) -> None:
    vector = np.random.default_rng(0).standard_normal(dimension, dtype=np.float32)

    found = unpack([KEY], [entry(vector)])[KEY]

    np.testing.assert_array_equal(found, vector)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.flags.aligned
    assert not found.flags.writeable


@pytest.mark.parametrize("dimension", [384, 512])
def test_float16_costs_less_than_a_ten_millionth_of_cosine(dimension: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((10_000, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    stored = np.stack([as_vector(vector, "float16") for vector in vectors]).astype(np.float64)

    cosines = (stored * vectors).sum(axis=1) / np.linalg.norm(stored, axis=1)
    assert cosines.min() > 0.9999999


def test_float16_comes_back_as_it_is_kept_in_this_process() -> None:
    vector = np.random.default_rng(0).standard_normal(384)

    found = unpack([KEY], [entry(vector, "float16")])[KEY]

    np.testing.assert_array_equal(found, as_vector(vector, "float16"))
    assert not found.flags.writeable


def test_float16_halves_an_entry() -> None:
    assert len(entry(np.ones(384))) == 16 + 1536 + 4
    assert len(entry(np.ones(384), "float16")) == 16 + 768 + 4


def test_an_entry_knows_its_expiry() -> None:
    assert expiry_ms(entry(np.ones(3))) == 1_700_000_000_123


def test_an_entry_under_another_key_is_none() -> None:
    assert unpack([b"embedding:instruction:2"], [entry(np.ones(3))]) == {}


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_a_changed_entry_is_none(storage: Storage) -> None:
    """10,000 mutations: flipped bits, cuts, insertions, swaps and entries glued together."""
    rng = random.Random(0)
    whole = entry(np.random.default_rng(0).standard_normal(384), storage)
    other = entry(np.random.default_rng(1).standard_normal(384), storage, key=b"other")
    for _ in range(5_000):
        changed = bytearray(whole)
        place = rng.randrange(len(changed))
        mutation = rng.randrange(6)
        if mutation == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif mutation == 1:
            del changed[place:]
        elif mutation == 2:
            changed.insert(place, rng.randrange(256))
        elif mutation == 3:
            changed[place:] = other[place:]
        elif mutation == 4:
            length = rng.randrange(1, 64)
            changed[place : place + length] = rng.randbytes(length)
        else:
            changed[place], changed[-place] = changed[-place], changed[place]
        if bytes(changed) != whole:
            assert unpack([KEY], [bytes(changed)]) == {}


@pytest.mark.parametrize(
    "body", [b"", b"VE\x01\x04", b"VE\x01\x04" + b"\0" * 12, b"VE\x02\x04abcd" * 9]
)
def test_a_correct_checksum_alone_makes_no_entry(body: bytes) -> None:
    payload = body + crc32(body, crc32(KEY)).to_bytes(4, "little")

    assert unpack([KEY], [payload]) == {}


@pytest.mark.parametrize("reply", [b"", b"VE", b"\x00" * 20, 7, "text", [b"VE"], None, OSError()])
def test_foreign_replies_are_none(reply: object) -> None:
    assert unpack([KEY], [reply]) == {}


@pytest.mark.parametrize(
    "embedding",
    [[], [[1.0, 2.0]], [[1.0], [2.0, 3.0]], 3.0, [np.nan], [np.inf], ["1"], [1j], [True], [1e39]],
    ids=str,
)
def test_what_is_no_finite_vector_is_refused(embedding: ArrayLike) -> None:
    with pytest.raises(InvalidInput):
        as_vector(embedding, "float32")


def test_a_value_too_large_for_float16_is_refused() -> None:
    with pytest.raises(InvalidInput, match="float16"):
        as_vector([1e5], "float16")


def test_later_changes_of_the_given_array_do_not_reach_the_cache() -> None:
    given = np.ones(3, np.float32)
    kept = as_vector(given, "float32")

    given[0] = 9

    assert kept[0] == 1
