"""How much may wait: what exceeds it is refused before any work on it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

from vla_embeddings.errors import Overloaded
from vla_embeddings.runtime import ImageInput

MAX_WAITING = 4096
"""Single texts and single images that may wait, of each."""

MAX_BATCH_TEXTS = 65_536
"""Texts of batch calls that may wait: about a minute of work for two cores."""

BATCH_IMAGES = 2048
"""Images of batch calls that may wait for each CPU thread: two minutes of its work. None is copied
and few are decoded at a time, so the memory that they hold is their callers' matter."""

MAX_IMAGE_BYTES = 512 * 1024**2
"""What single images may hold while they wait: 86 arrays of 1920x1080, 4 s of work for two cores.
Each is copied when its call begins."""

# What Pillow takes for a pixel, at most; grey and palette images take less.
_PIL_BYTES = 4


class Admission:
    """Lets in what there is room for, and what comes alone, whatever its size.

    Args:
        what: waits; the plural that messages say.
        most: how many of them may wait.
        advice: to who is refused, besides asking again later.
    """

    def __init__(self, what: str, most: int, advice: str) -> None:
        self._what = what
        self._most = most
        self._advice = advice
        self._count = 0
        self._bytes = 0
        self._changing = threading.Lock()  # event loops of several threads may share a service

    @contextmanager
    def admit(self, count: int = 1, nbytes: int = 0) -> Iterator[None]:
        """Count so many, which hold so much memory, until the block is left.

        Raises:
            Overloaded: there is no room for them.
        """
        with self._changing:
            if count and self._count:
                self._check_room(count, nbytes)
            self._count += count
            self._bytes += nbytes
        try:
            yield
        finally:
            with self._changing:
                self._count -= count
                self._bytes -= nbytes

    def _check_room(self, count: int, nbytes: int) -> None:
        if self._count + count > self._most:
            raise Overloaded(
                f"{self._count:,} {self._what} are waiting already (at most {self._most:,}). Ask "
                f"again later, or {self._advice}."
            )
        if self._bytes + nbytes > MAX_IMAGE_BYTES:
            raise Overloaded(
                f"{self._count:,} {self._what} are waiting already and hold "
                f"{self._bytes >> 20:,} MiB (at most {MAX_IMAGE_BYTES >> 20:,}). Ask again later, "
                "or pass smaller ones, or their files' bytes."
            )


def memory_of(image: ImageInput) -> int:
    """Bytes that an image holds while it waits."""
    match image:
        case bytes():
            return len(image)
        case np.ndarray():
            return image.nbytes
        case Image.Image():
            return image.width * image.height * _PIL_BYTES
