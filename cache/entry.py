"""One cached vector as bytes that describe and check themselves.

    magic "VE" | version | bytes per value | dimension | expiry | values | checksum
       2            1            1               4          8       4n/2n       4

All little-endian. The checksum covers the key as well, and the key's hash covers the model, its
precision and the content: an entry that was damaged, cut short, copied under another key or
delivered to the wrong caller does not check out, and is no entry.
"""

import struct
from collections.abc import Sequence
from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_embeddings.errors import InvalidInput

Storage = Literal["float32", "float16"]

# Magic and version, then the bytes per value.
_STORAGES: dict[Storage, bytes] = {"float32": b"VE\x01\x04", "float16": b"VE\x01\x02"}
_DTYPES: dict[bytes, np.dtype[Any]] = {
    _STORAGES["float32"]: np.dtype("<f4"),
    _STORAGES["float16"]: np.dtype("<f2"),
}
_HEADER = struct.Struct("<4sIQ")
_CHECKSUM = struct.Struct("<I")
_START = _HEADER.size
_AROUND = _HEADER.size + _CHECKSUM.size
# crc32 of any bytes that end with their own crc32, little-endian.
_CHECKED = 0x2144DF1C


def as_vector(embedding: ArrayLike, storage: Storage) -> NDArray[np.float32]:
    """A read-only copy of an embedding, rounded as it will be when it is read back.

    Raises:
        InvalidInput: it is not a finite, non-empty vector of shape (n,), or one of its values
            does not fit `storage`.
    """
    try:
        given = np.asarray(embedding)
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            f"Expected an embedding of shape (n,) with real values: {error}"
        ) from error
    if given.ndim != 1 or not given.size or given.dtype.kind not in "fiu":
        raise InvalidInput(
            "Expected an embedding of shape (n,) with real values; "
            f"got shape {given.shape}, {given.dtype}."
        )
    with np.errstate(over="ignore"):  # too large a value becomes infinite, and is refused below
        vector = given.astype(_DTYPES[_STORAGES[storage]]).astype(np.float32)
    if not np.isfinite(vector).all():
        raise InvalidInput(f"An embedding holds NaN, infinity or a value too large for {storage}.")
    return _frozen(vector)


def pack(key: bytes, vector: NDArray[np.float32], expires_ms: int, storage: Storage) -> bytes:
    """The bytes to store under `key`."""
    start = _STORAGES[storage]
    values = vector.astype(_DTYPES[start]).tobytes()
    body = _HEADER.pack(start, len(vector), expires_ms) + values
    return body + _CHECKSUM.pack(crc32(body, crc32(key)))


def unpack(keys: Sequence[bytes], payloads: Sequence[object]) -> dict[bytes, NDArray[np.float32]]:
    """The vectors, shape (n,) and read-only, of the payloads that `pack` made for their keys.

    Others are left out. One call for many, because a call for each would take a tenth of the
    time that Redis takes.
    """
    vectors: dict[bytes, NDArray[np.float32]] = {}
    for key, payload in zip(keys, payloads, strict=True):
        if not isinstance(payload, bytes) or crc32(payload, crc32(key)) != _CHECKED:
            continue
        dtype = _DTYPES.get(payload[:4])
        if dtype is None or len(payload) <= _AROUND:
            continue
        size = dtype.itemsize
        values = np.frombuffer(payload, dtype, (len(payload) - _AROUND) // size, _START)
        vectors[key] = values if size == 4 else _frozen(values.astype(np.float32))
    return vectors


def expiry_ms(payload: bytes) -> int:
    """When an entry that checked out expires, in Unix milliseconds."""
    return int(_HEADER.unpack_from(payload)[2])


def _frozen(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    vector.setflags(write=False)
    return vector
