"""Every kind of image becomes upright RGB, or an error that says what came."""

import contextlib
import io
import re
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from vla_embeddings.errors import InvalidInput
from vla_embeddings.runtime.decode import (
    FORMATS,
    MAX_PIXELS,
    ImageInput,
    check_header,
    decode,
    is_in_memory,
    snapshot,
)

RED, WHITE = (255, 0, 0), (255, 255, 255)


def _encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _gradient(width: int = 48, height: int = 32) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.dstack([x, y, 255 - x]).astype(np.uint8))


def _pixel(image: Image.Image) -> tuple[int, ...]:
    value = decode(image).getpixel((0, 0))
    assert isinstance(value, tuple)
    return value


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_to_bytes_and_pil_images(
    orientation: int, file_format: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Four quarters of different grey: every orientation gives another picture.
    stored = Image.fromarray(np.array([[0, 80], [160, 240]], np.uint8)).resize((32, 16), 0)
    data = _encoded(stored, file_format, exif=exif)
    quarters = {
        1: [0, 80, 160, 240],
        2: [80, 0, 240, 160],
        3: [240, 160, 80, 0],
        4: [160, 240, 0, 80],
        5: [0, 160, 80, 240],
        6: [160, 0, 240, 80],
        7: [240, 80, 160, 0],
        8: [80, 240, 0, 160],
    }[orientation]

    opened = Image.open(io.BytesIO(data))
    ways = (decode(data), decode(snapshot(opened)), decode(opened))
    for image in (*ways, *map(decode, ways)):
        assert image.size == ((32, 16) if orientation < 5 else (16, 32))
        seen = np.asarray(image.resize((2, 2), Image.Resampling.BOX))[..., 0].ravel()
        assert seen.astype(int) == pytest.approx(quarters, abs=4)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa"])
def test_what_is_transparent_shows_white(mode: str) -> None:
    hidden = Image.new("RGBA", (4, 4), (10, 20, 30, 0))

    assert _pixel(hidden.convert(mode)) == WHITE


def test_half_transparent_red_is_pink() -> None:
    assert _pixel(Image.new("RGBA", (4, 4), (255, 0, 0, 128))) == (255, 127, 127)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "I;16"])
def test_a_colour_declared_transparent_shows_white(mode: str) -> None:
    data = _encoded(
        Image.new(mode, (4, 4), 0), "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0
    )

    assert decode(data).getpixel((0, 0)) == WHITE


def test_a_palette_is_looked_up() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, *RED])

    assert _pixel(image) == RED


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, WHITE),
        ("L", 90, (90, 90, 90)),
        ("CMYK", (0, 255, 255, 0), RED),
        ("RGBX", (*RED, 0), RED),
        ("HSV", (0, 255, 255), RED),
        ("YCbCr", (255, 128, 128), WHITE),
        ("LAB", (255, 128, 128), WHITE),
    ],
)
def test_other_colour_models_are_converted(
    mode: str, colour: int | tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert _pixel(Image.new(mode, (4, 4), colour)) == pytest.approx(expected, abs=1)


def test_an_adobe_cmyk_jpeg_is_not_seen_as_its_negative() -> None:
    data = _encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100)
    assert b"Adobe" in data  # its presence means that the samples are stored inverted

    assert decode(data).getpixel((4, 4)) == pytest.approx(RED, abs=3)


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "int32"])
def test_sixteen_bits_are_scaled_not_clipped(dtype: str) -> None:
    values = np.array([[0, 128, 129, 257, 32896, 65535]], dtype)

    grey = np.asarray(decode(Image.fromarray(values)))[0, :, 1]

    assert grey.tolist() == [0, 0, 1, 1, 128, 255]


def test_sixteen_bit_png_bytes_are_scaled_too() -> None:
    data = _encoded(Image.fromarray(np.full((2, 2), 32896, np.uint16)), "PNG")

    assert decode(data).getpixel((0, 0)) == (128, 128, 128)


def test_float_images_go_from_zero_to_one() -> None:
    values = np.array([[0.0, 0.5, 1.0]], np.float32)

    assert np.asarray(decode(Image.fromarray(values)))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0, 200]], np.float32),
        np.array([[0, np.nan]], np.float32),
        np.array([[-1, 5]], np.int32),
        np.array([[0, 65536]], np.int32),
    ],
    ids=["float above 1", "nan", "negative", "above 65535"],
)
def test_values_without_an_agreed_white_are_refused(values: NDArray[np.generic]) -> None:
    with pytest.raises(InvalidInput, match="Expected values from 0 to"):
        decode(Image.fromarray(values))


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_counts(file_format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    data = _encoded(
        frames[0], file_format, save_all=True, append_images=frames[1:], **_lossless(file_format)
    )

    assert decode(data).getpixel((0, 0)) == WHITE


def _lossless(file_format: str) -> dict[str, bool]:
    return {"lossless": True} if file_format == "WEBP" else {}


def test_a_pil_image_counts_at_the_frame_it_stands_at() -> None:
    frames = [Image.new("L", (8, 8), level) for level in (255, 0)]
    data = _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    image = Image.open(io.BytesIO(data))
    image.seek(1)

    assert _pixel(image) == (0, 0, 0)


def test_an_array_is_taken_as_it_is() -> None:
    array = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)

    assert np.array_equal(np.asarray(decode(array)), array)
    assert np.array_equal(np.asarray(decode(array[::-1, ::2])), array[::-1, ::2])


def test_a_snapshot_stays_as_it_was_when_it_was_taken() -> None:
    array, image = np.asarray(_gradient()).copy(), _gradient()
    taken = snapshot(array), snapshot(image)

    array[:] = 0
    image.paste("black", (0, 0, *image.size))

    for each in taken:
        np.testing.assert_array_equal(decode(each), _gradient())


@pytest.mark.parametrize("file_format", sorted({*FORMATS} - {"ICO"}))  # loaded when it is opened
def test_a_file_is_in_memory_once_it_was_loaded(file_format: str) -> None:
    image = Image.open(io.BytesIO(_encoded(_gradient(), file_format)))
    assert not is_in_memory(image)

    image.load()

    assert is_in_memory(image)


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "TIFF", "AVIF"])
def test_a_frame_that_was_sought_is_in_memory_once_it_was_loaded(file_format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    data = _encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
    image = Image.open(io.BytesIO(data))
    image.load()

    image.seek(1)

    assert not is_in_memory(image)
    image.load()
    assert is_in_memory(image)


def test_an_image_that_loads_slowly_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    loading, ended = threading.Event(), threading.Event()
    slow = _gradient()
    others: list[ImageInput] = [_encoded(slow, "PNG"), *(_gradient() for _ in range(100))]

    def load() -> None:
        loading.set()
        ended.wait(20)

    monkeypatch.setattr(slow, "load", load)
    with ThreadPoolExecutor(2) as pool:
        pool.submit(decode, slow)
        loading.wait(20)
        try:
            images = pool.submit(lambda: [decode(snapshot(other)) for other in others])
            first, *_ = images.result(timeout=10)
        finally:
            ended.set()

    np.testing.assert_array_equal(first, _gradient())


@pytest.mark.parametrize("read", [decode, lambda image: decode(snapshot(image))])
def test_an_image_that_two_threads_read_at_once_is_upright_in_both(
    read: Callable[[ImageInput], Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = Image.open(io.BytesIO(_encoded(_gradient(48, 32), "PNG", exif=exif)))
    load = Image.Exif.load
    others: list[Future[Image.Image]] = []
    with ThreadPoolExecutor(1) as pool:

        def load_while_another_reads(exif: Image.Exif, data: bytes) -> None:
            if not others:
                others.append(pool.submit(read, opened))
                wait(others, timeout=0.1)  # in vain, where that one waits for this one
            load(exif, data)

        monkeypatch.setattr(Image.Exif, "load", load_while_another_reads)
        images = [read(opened), others[0].result()]

    assert [image.size for image in images] == [(32, 48)] * 2


def test_the_callers_image_stays_as_it_was() -> None:
    image = Image.new("RGBA", (4, 2), (1, 2, 3, 4))
    image.getexif()[0x0112] = 6

    assert decode(image).size == (2, 4)
    assert (image.size, image.mode, image.getexif()[0x0112]) == ((4, 2), "RGBA", 6)
    assert image.getpixel((0, 0)) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int64),
        np.zeros((), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_of_another_shape_or_dtype_is_refused_by_name(
    array: NDArray[np.generic],
) -> None:
    for take in (decode, snapshot):
        with pytest.raises(InvalidInput) as caught:
            take(array)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - the fault under test

        assert str(array.shape) in str(caught.value)
        assert str(array.dtype) in str(caught.value)


@pytest.mark.parametrize(
    ("thing", "advice"),
    [
        *((thing, "pass Path(…).read_bytes()") for thing in ("a.jpg", Path("a.jpg"), None, [b""])),
        *((thing, "Wrap it in bytes()") for thing in (bytearray(4), memoryview(b"1234"))),
    ],
)
def test_what_is_no_image_is_refused_by_type(thing: object, advice: str) -> None:
    with pytest.raises(InvalidInput, match=f"got {type(thing).__name__}.*{re.escape(advice)}"):
        decode(thing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - the fault under test


@pytest.mark.parametrize(
    "image",
    [Image.new("RGB", (0, 5)), np.zeros((0, 5, 3), np.uint8), np.zeros((5, 0, 3), np.uint8)],
    ids=["pil", "no rows", "no columns"],
)
def test_an_image_without_pixels_is_refused(image: Image.Image | NDArray[np.uint8]) -> None:
    with pytest.raises(InvalidInput, match=r"Expected 1 to \d+ pixels"):
        decode(image)


def test_a_header_alone_tells_what_is_no_image_or_too_large() -> None:
    with pytest.raises(InvalidInput, match="no known format"):
        check_header(b"hello, robot")
    with pytest.raises(InvalidInput, match="90000000 pixels"):
        check_header(b"P5 10000 9000 255\n")
    with pytest.raises(InvalidInput, match=r"1 to \d+ pixels"):
        check_header(Image.new("RGB", (0, 5)))

    opened = Image.open(io.BytesIO(_encoded(_gradient(), "JPEG")[:700]))
    check_header(opened)

    assert not is_in_memory(opened)


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"hello, robot", b"\xff\xd8\xff\xe0\x00"])
def test_bytes_that_are_no_image_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=f"from {len(data)} bytes"):
        decode(data)


def test_jpeg_2000_is_refused_by_the_formats_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"no known format.* a complete file in one of JPEG,"):
        decode(_encoded(_gradient(), "JPEG2000"))


def test_postscript_is_never_run() -> None:
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"

    with pytest.raises(InvalidInput, match="no known format"):
        decode(data)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM"])
def test_a_file_cut_anywhere_gives_an_image_or_invalid_input(file_format: str) -> None:
    data = _encoded(_gradient(), file_format)
    refused = 0

    for end in range(0, len(data), max(1, len(data) // 200)):
        try:
            decode(data[:end])
        except InvalidInput:
            refused += 1

    assert refused > 100


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "ICO"])
def test_a_damaged_file_raises_nothing_but_invalid_input(file_format: str) -> None:
    generator = np.random.default_rng(0)
    data = np.frombuffer(_encoded(_gradient(), file_format), np.uint8)

    for _ in range(300):
        damaged = data.copy()
        places = generator.integers(0, min(len(data), 400), 3)
        damaged[places] = generator.integers(0, 256, 3)
        with contextlib.suppress(InvalidInput):
            decode(damaged.tobytes())


def test_a_truncated_file_is_named_by_format_and_size() -> None:
    data = _encoded(_gradient(640, 480), "JPEG")

    with pytest.raises(InvalidInput, match=r"JPEG image of mode RGB, 640x480.*truncated"):
        decode(data[: len(data) // 2])

    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_pil_image_whose_file_is_closed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    _gradient().save(path)
    with Image.open(path) as image:
        pass

    with pytest.raises(InvalidInput, match="whose file is still open"):
        decode(image)


@pytest.mark.parametrize("limit", [Image.MAX_IMAGE_PIXELS, None], ids=["kept", "lifted"])
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_a_decompression_bomb_is_refused_whatever_the_program_has_set(
    limit: int | None, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = b"P5 10000 %d 255\n" % (MAX_PIXELS // 10_000 + 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with warnings.catch_warnings():
        warnings.simplefilter(action)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - a parametrised literal

        with pytest.raises(InvalidInput, match=r"pixels"):
            decode(header)

    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("folder", ["corrupt", "bomb"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_every_real_broken_file_is_refused(shared_data: Path, folder: str) -> None:
    files = [path for path in (shared_data / "images" / folder).rglob("*") if path.is_file()]
    assert files

    for path in files:
        with pytest.raises(InvalidInput):
            decode(path.read_bytes())
