"""Every kind of image, as upright RGB."""

import io
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeAlias
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from vla_embeddings.errors import InvalidInput

ImageInput: TypeAlias = Image.Image | NDArray[np.uint8] | bytes

# Formats that Pillow decodes by itself; EPS, for one, would start Ghostscript. JPEG 2000 is none:
# Pillow holds Python's global lock while it decodes one, which would stop the event loop. For WebP
# and AVIF it does so in part: 5 and 11 ms at 1920x1080, 130 and 70 ms at 40 megapixels.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "ICO", "AVIF")

MAX_PIXELS = 1024**3 // 4 // 3
"""Pillow's own default limit against decompression bombs (a quarter GiB of RGB), kept here even
where a program has lifted it or silenced its warning."""

# The value that is white, in the modes wider than 8 bits; black is 0.
_WHITE = {"I;16": 65535, "I;16B": 65535, "I;16L": 65535, "I;16N": 65535, "I": 65535, "F": 1.0}

# How to turn an image upright, for each EXIF orientation but 1, which is upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# Pillow reads an opened image and its EXIF in place, on first use: two threads must not do that at
# once. Images cannot be keys of a dictionary, so each has a lock by its address, as long as a
# thread has that.
_LOADING: WeakValueDictionary[int, threading.Lock] = WeakValueDictionary()
_FINDING = threading.Lock()


def decode(image: ImageInput) -> Image.Image:
    """Return the image as a person would see it: upright, opaque, 8-bit RGB.

    - Encoded bytes: a complete file in one of `FORMATS`. Of an animation, the first frame; of a
      PIL image, the frame it stands at, and a JPEG as its `draft` scales it (docs/adr/0015).
    - Arrays: uint8 of shape (H, W, 3), RGB, taken as they are.
    - EXIF orientation is applied.
    - Transparency (alpha channel, palette or single colour) shows white, like a page; what lies
      hidden below it counts for nothing.
    - Palette, bilevel, greyscale, CMYK (Adobe's inverted kind too), YCbCr, HSV and Lab images
      are converted. Embedded colour profiles are not applied; the CLIP reference applies none.
    - 16-bit greyscale is scaled from 0..65535, float from 0..1; it is never clipped.

    Returns:
        An RGB image, which is the caller's own where there was nothing to do: do not change it.
        To decode it again changes nothing.

    Raises:
        InvalidInput: not an image, broken or truncated, without pixels, more than `MAX_PIXELS`
            pixels, 16-bit or float values outside the range above, or an array of another
            shape or dtype.
    """
    check_kind(image)
    if isinstance(image, bytes):
        return _upright_rgb(_open(image), nullcontext())
    if isinstance(image, np.ndarray):
        return Image.fromarray(image)
    return _upright_rgb(image, _turn(image))


def check_kind(image: ImageInput) -> None:
    """Refuse what is no image by its type, and arrays by dtype, shape and size.

    Raises:
        InvalidInput: it is none; see `decode`.
    """
    if isinstance(image, np.ndarray):
        _check_array(image)
    elif not isinstance(image, Image.Image | bytes):
        raise InvalidInput(
            f"Expected a PIL image, a uint8 array of shape (H, W, 3) or the bytes of an image "
            f"file; got {type(image).__name__}. {_remedy(image)}"
        )


def check_header(image: ImageInput) -> None:
    """Refuse what is no image by its type and shape, or by the first bytes of its file.

    Raises:
        InvalidInput: it is none, or too large; what its header does not show, `decode` finds.
    """
    check_kind(image)
    if isinstance(image, bytes):
        image = _open(image)
    if isinstance(image, Image.Image):
        _check_size(image.width, image.height, _what(image))


def snapshot(image: ImageInput) -> ImageInput:
    """The image as it is now, whatever becomes of the caller's array or PIL image.

    Raises:
        InvalidInput: no image, or a PIL image that cannot be decoded; see `decode`.
    """
    check_kind(image)
    if isinstance(image, bytes):
        return image
    if isinstance(image, np.ndarray):
        return _copy(image)
    with _naming(image):
        with _turn(image):
            taken, orientation = image.copy(), _orientation(image)
        taken.getexif()[ExifTags.Base.Orientation] = orientation
        return taken


def is_in_memory(image: ImageInput) -> bool:
    """Whether its pixels are; those of an opened PIL image are once it was loaded."""
    if not isinstance(image, ImageFile.ImageFile):
        return True
    # Neither tells alone: WebP has no tiles before it is loaded, and a frame that was sought has
    # the last one's pixels. The public `im` raises an AssertionError where there are none.
    return not image.tile and image._im is not None


def _remedy(image: object) -> str:
    if isinstance(image, bytearray | memoryview):
        return "Wrap it in bytes()."
    return "Paths are not opened: pass Path(…).read_bytes()."


def _open(data: bytes) -> Image.Image:
    """The image in `data`, with only its header read."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:  # a format's parser raises whatever it stumbles on
        unknown = isinstance(error, UnidentifiedImageError)
        raise InvalidInput(
            f"Cannot read an image from {len(data)} bytes that begin with {data[:8]!r}: "
            f"{'no known format' if unknown else repr(error)}. Pass a complete file in one of "
            f"{', '.join(FORMATS)}."
        ) from error


def _check_array(array: NDArray[np.uint8]) -> None:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise InvalidInput(
            f"Expected a uint8 array of shape (H, W, 3), RGB; got {array.dtype} of shape "
            f"{array.shape}. Convert it, or pass Image.fromarray(array)."
        )
    height, width, _ = array.shape
    _check_size(width, height, f"array of shape {array.shape}")


def _copy(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """In the order of its memory, which takes a twentieth of the time where its axes have another
    (`bgr[..., ::-1]`, `chw.transpose(1, 2, 0)`)."""
    forwards = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in array.strides)
    return array[forwards].copy("K")[forwards]


def _upright_rgb(image: Image.Image, turn: AbstractContextManager[object]) -> Image.Image:
    with _naming(image):
        with turn:
            image.load()
            method = _UPRIGHT.get(_orientation(image))
        rgb = _rgb(image)
        if method is not None:
            rgb = rgb.transpose(method)
        if rgb is not image:
            rgb.getexif()[ExifTags.Base.Orientation] = 1  # it inherits how the other one stood
        return rgb


def _turn(image: Image.Image) -> threading.Lock:
    with _FINDING:
        return _LOADING.setdefault(id(image), threading.Lock())


def _orientation(image: Image.Image) -> int:
    orientation: int = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation


@contextmanager
def _naming(image: Image.Image) -> Iterator[None]:
    """Tell which image cannot be decoded, whatever its decoder stumbles on."""
    what = _what(image)
    _check_size(image.width, image.height, what)
    try:
        yield
    except InvalidInput:
        raise
    except Exception as error:  # a format's decoder raises whatever it stumbles on
        raise InvalidInput(
            f"Cannot decode this {what}: {error!r}. Pass a complete, undamaged file (a PIL "
            "image: one whose file is still open)."
        ) from error


def _what(image: Image.Image) -> str:
    return f"{image.format or 'PIL'} image of mode {image.mode}, {image.width}x{image.height}"


def _check_size(width: int, height: int, what: str) -> None:
    if not 0 < width * height <= MAX_PIXELS:
        raise InvalidInput(
            f"Expected 1 to {MAX_PIXELS} pixels; got {width * height} ({what}). "
            "If it is a real picture, scale it down first."
        )


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode in _WHITE:
        return _eight_bit(image).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(rgba, mask=rgba)
        return page
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Greyscale wider than 8 bits, scaled; Pillow's own conversion clips some modes at 255."""
    white = _WHITE[image.mode]
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if not 0 <= low <= high <= white:  # not-a-number fails it too
        raise InvalidInput(
            f"Expected values from 0 to {white:g} in a PIL image of mode {image.mode}; got "
            f"{low:g} to {high:g}. Scale it, or convert it to mode L."
        )
    grey = np.rint(np.multiply(values, 255 / white, dtype=np.float32)).astype(np.uint8)
    if "transparency" in image.info:  # the one grey that a PNG file may declare see-through
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey)
