"""Preprocessing equals the reference image processor of transformers."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vla_embeddings.errors import InvalidInput
from vla_embeddings.runtime.decode import decode
from vla_embeddings.runtime.pixels import preprocess
from vla_embeddings.runtime.pool import Pool

CLIPImageProcessor = pytest.importorskip("transformers").CLIPImageProcessor

ORDINARY = [(224, 224), (277, 277), (640, 480), (480, 640), (641, 479), (1280, 720), (100, 75)]
ORDINARY += [(224, 223), (225, 224), (333, 777)]
TINY = [(1, 1), (2, 3), (1, 64), (64, 1), (5, 3)]
LONG = [(3200, 50), (50, 3200), (1, 300), (301, 1), (16100, 230)]


def _noise(width: int, height: int) -> NDArray[np.uint8]:
    generator = np.random.default_rng(width * 10_007 + height)
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


def _reference(image: Image.Image, processor_folder: Path | None = None) -> NDArray[np.uint8]:
    """The reference's pixels before it rescales and normalises them."""
    settings = {"do_rescale": False, "do_normalize": False}
    processor = (
        CLIPImageProcessor.from_pretrained(processor_folder, **settings)
        if processor_folder
        else CLIPImageProcessor(**settings)
    )
    # The layout is given because the reference guesses it wrongly for images 1 or 3 pixels high.
    batch = processor(image, return_tensors="np", input_data_format="channels_last")
    pixels: NDArray[np.uint8] = batch["pixel_values"][0].transpose(1, 2, 0)
    return pixels


@pytest.mark.parametrize("size", ORDINARY + TINY + LONG, ids=lambda size: f"{size[0]}x{size[1]}")
def test_pixels_equal_the_reference_bit_for_bit(size: tuple[int, int]) -> None:
    array = _noise(*size)

    assert np.array_equal(preprocess(array), _reference(Image.fromarray(array)))


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1920, 1080), (1301, 1013), (9000, 160)])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_that_share_an_image_make_the_same_pixels(
    size: tuple[int, int], threads: int
) -> None:
    array = _noise(*size)
    helpers = Pool("pixels-test", threads=threads, nice=0)

    assert np.array_equal(preprocess(array, helpers), _reference(Image.fromarray(array)))

    helpers.close()


@pytest.mark.parametrize("size", [(2000, 7), (3, 1000), (9000, 137)])
def test_beyond_64_to_1_values_differ_by_2_at_most(size: tuple[int, int]) -> None:
    array = _noise(*size)

    difference = preprocess(array).astype(int) - _reference(Image.fromarray(array))

    assert np.abs(difference).max() <= 2
    assert np.count_nonzero(difference) < 0.01 * difference.size


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F", "HSV"])
def test_every_mode_is_what_the_reference_makes_of_the_rgb_picture(mode: str) -> None:
    colour = Image.fromarray(_noise(90, 60))
    image = (
        Image.fromarray(np.asarray(colour.convert("L")).astype(np.uint16) * 257)
        if mode == "I;16"
        else Image.fromarray(np.asarray(colour.convert("L")).astype(np.float32) / 255)
        if mode == "F"
        else colour.convert(mode)
    )
    assert image.mode == mode

    assert np.array_equal(preprocess(image), _reference(decode(image)))


def test_the_result_is_what_the_graph_is_fed() -> None:
    pixels = preprocess(_noise(300, 200))

    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


def test_an_array_of_its_size_is_fed_to_the_graph_as_it_is() -> None:
    array = _noise(224, 224)

    assert np.shares_memory(preprocess(array), array)
    assert np.array_equal(preprocess(array[::-1]), array[::-1])
    with pytest.raises(InvalidInput, match="Expected a uint8 array"):
        preprocess(array.astype(np.float32))  # pyright: ignore[reportArgumentType] - the fault under test


def test_bytes_array_and_pil_image_give_the_same_pixels() -> None:
    array = _noise(320, 240)
    image = Image.fromarray(array)
    encoded = io.BytesIO()
    image.save(encoded, "PNG")

    assert np.array_equal(preprocess(array), preprocess(image))
    assert np.array_equal(preprocess(array), preprocess(encoded.getvalue()))


@pytest.mark.parametrize("size", [(1, 1_000_000), (1_000_000, 1)])
def test_a_line_of_a_million_pixels_shows_its_middle(size: tuple[int, int]) -> None:
    array = _noise(*size)
    middle = array[499_900:500_100] if size[0] == 1 else array[:, 499_900:500_100]

    assert np.array_equal(preprocess(array), _reference(Image.fromarray(middle)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning:PIL")
def test_every_real_image_equals_the_reference_or_is_refused(shared_data: Path) -> None:
    index = (shared_data / "images" / "index.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, index) if row["status"] == "ok"]
    refused: list[str] = []

    for row in rows:
        data = (shared_data / "images" / row["path"]).read_bytes()
        try:
            pixels = preprocess(data)
        except InvalidInput:
            refused.append(row["path"])
            continue
        reference = _reference(decode(data), shared_data / "clip-vit-base-patch32")
        assert np.array_equal(pixels, reference), row["path"]

    assert len(rows) > 150
    assert refused == ["odd/pillow/truncated_end_chunk.png", "odd/pillow/16bit.cropped.jp2"]
