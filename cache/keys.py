"""Keys: `embedding:instruction:{hash}` and `embedding:image:{hash}`.

Only hashes leave the process, never an instruction or a pixel.
"""

import struct
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from vla_embeddings.errors import InvalidInput

_PREFIX = b"embedding:"
_KIND = slice(len(_PREFIX), len(_PREFIX) + 6)  # six bytes tell the kinds apart
_KINDS = {b"instru": "instruction", b"image:": "image"}


def instruction_key(fingerprint: str, text: str) -> str:
    """The key of an instruction's embedding.

    Args:
        fingerprint: all that the vector depends on besides the text: model, checkpoint digest,
            precision, preprocessing.
    """
    return f"embedding:instruction:{_digest(b'text', _utf8(fingerprint), _utf8(text))}"


def image_key(fingerprint: str, image: bytes | NDArray[np.uint8]) -> str:
    """The key of an image's embedding.

    An encoded file and its decoded pixels have different keys.

    Args:
        fingerprint: as for `instruction_key`.
        image: the bytes of an encoded image, or decoded pixels as a uint8 array, of which the
            shape counts too.

    Raises:
        InvalidInput: the array is not uint8.
    """
    if isinstance(image, bytes):
        return f"embedding:image:{_digest(b'file', _utf8(fingerprint), image)}"
    if image.dtype != np.uint8:
        raise InvalidInput(f"Expected pixels as a uint8 array; got {image.dtype}.")
    shape = struct.pack(f"<{image.ndim}Q", *image.shape)
    pixels = np.ascontiguousarray(image).reshape(-1).data
    return f"embedding:image:{_digest(b'pixels', _utf8(fingerprint), shape, pixels)}"


def wire_key(key: str) -> bytes:
    """`key` as Redis gets it: with the prefix `embedding:`, put before it where absent.

    Raises:
        InvalidInput: the key is no text that UTF-8 can hold.
    """
    try:
        name = key.encode()
    except (UnicodeEncodeError, AttributeError):  # the latter of bytes, for one
        raise InvalidInput(f"Expected a cache key of valid text; got {key!r}.") from None
    return name if name.startswith(_PREFIX) else _PREFIX + name


def kind_of(name: bytes) -> str:
    """`instruction`, `image` or `other`, from a key with its prefix."""
    return _KINDS.get(name[_KIND], "other")


def count_kinds(names: Iterable[bytes]) -> dict[str, int]:
    """How many of the keys are of which kind."""
    counts: Counter[str] = Counter()
    for start, count in Counter([name[_KIND] for name in names]).items():
        counts[_KINDS.get(start, "other")] += count
    return counts


def _digest(kind: bytes, *parts: bytes | memoryview) -> str:
    # 128 bits. `person` separates the kinds; the lengths keep ("ab", "c") from ("a", "bc").
    digest = blake2b(digest_size=16, person=kind)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # injective, and no text is refused
