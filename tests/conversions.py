"""What Pillow converts."""

from typing import Any

import pytest
from PIL import Image


def watch_conversions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modes of all images that are converted from now on, as they are."""
    convert, seen = Image.Image.convert, list[str]()

    def watch(image: Image.Image, *arguments: Any) -> Image.Image:
        seen.append(image.mode)
        return convert(image, *arguments)

    monkeypatch.setattr(Image.Image, "convert", watch)
    return seen
