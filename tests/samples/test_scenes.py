"""The demo's scenes show what their captions say, and the same for the same seed."""

import numpy as np
import pytest

from vla_embeddings.samples.scenes import Scene, make_scenes


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return make_scenes(30)


def _share(scene: Scene, channel: int) -> float:
    """The part of the picture where one of red, green and blue is far above the other two."""
    pixels = np.asarray(scene.image).astype(int)
    others = np.delete(pixels, channel, axis=2).max(axis=2)
    return float(np.mean(pixels[..., channel] > 1.5 * others + 20))


def test_every_scene_is_a_640x480_rgb_picture(scenes: list[Scene]) -> None:
    assert {(scene.image.size, scene.image.mode) for scene in scenes} == {((640, 480), "RGB")}


def test_a_seed_always_gives_the_same_scenes(scenes: list[Scene]) -> None:
    again, other = make_scenes(2), make_scenes(2, seed=1)

    assert [scene.image.tobytes() for scene in again] == [
        scene.image.tobytes() for scene in scenes[:2]
    ]
    assert other[0].image.tobytes() != again[0].image.tobytes()


def test_no_two_scenes_look_the_same(scenes: list[Scene]) -> None:
    assert len({scene.image.tobytes() for scene in scenes}) == len(scenes)


def test_a_caption_names_every_object_and_the_gripper(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert 2 <= len(scene.objects) <= 4
        assert all(name in scene.caption for name in scene.objects)
        assert scene.caption.endswith(f"gripper {'open' if scene.gripper_open else 'closed'}")


def test_two_objects_are_captioned_from_left_to_right(scenes: list[Scene]) -> None:
    scene = next(scene for scene in scenes if len(scene.objects) == 2)
    left, right = scene.objects

    assert scene.caption.index(f"{left} left of") < scene.caption.index(right)


@pytest.mark.parametrize(("colour", "channel"), [("red", 0), ("blue", 2)])
def test_a_colour_is_seen_where_the_caption_names_it(
    scenes: list[Scene], colour: str, channel: int
) -> None:
    named = [_share(scene, channel) for scene in scenes if f" {colour} " in scene.caption]

    assert min(named) > 0.005
