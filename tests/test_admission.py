"""What there is no room for is refused, with what waits and what to do."""

import numpy as np
import pytest
from PIL import Image

from vla_embeddings import admission
from vla_embeddings.admission import Admission, memory_of
from vla_embeddings.errors import Overloaded
from vla_embeddings.runtime import ImageInput


@pytest.fixture
def room() -> Admission:
    return Admission("images", 3, "come in a bus")


def test_a_full_room_refuses_and_takes_others_once_some_have_left(room: Admission) -> None:
    with room.admit(1), room.admit(2):
        refused = r"3 images are waiting already \(at most 3\).* again later, or come in a bus"
        with pytest.raises(Overloaded, match=refused), room.admit():
            pass

    with room.admit(3):
        pass


def test_whatever_comes_alone_is_let_in(room: Admission) -> None:
    with room.admit(100):
        with pytest.raises(Overloaded, match="100 images are waiting already"), room.admit():
            pass
        with room.admit(0):
            pass


def test_memory_is_bounded_too(room: Admission, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_IMAGE_BYTES", 4 << 20)

    with room.admit(nbytes=3 << 20), room.admit(nbytes=1 << 20):
        refused = r"2 images are waiting already and hold 4 MiB \(at most 4\)"
        with pytest.raises(Overloaded, match=refused), room.admit(nbytes=1):
            pass

    with room.admit(nbytes=5 << 20):
        pass


def test_who_fails_leaves_his_room(room: Admission) -> None:
    with pytest.raises(ValueError, match="no image"), room.admit(3):
        raise ValueError("no image")

    with room.admit(3):
        pass


@pytest.mark.parametrize(
    ("image", "nbytes"),
    [
        (b"12345", 5),
        (np.zeros((10, 20, 3), np.uint8), 600),
        (Image.new("RGB", (20, 10)), 800),
    ],
    ids=["file", "array", "PIL"],
)
def test_an_image_holds_its_file_or_its_pixels(image: ImageInput, nbytes: int) -> None:
    assert memory_of(image) == nbytes
