"""Read images: verified by sha256, decoded to 8-bit RGB, resized to the baseline's size.

Images of a run are 8-bit RGB; those of a reference set may have any mode, each with one conversion:

- 1, L, P, RGB, CMYK, YCbCr: Pillow's conversion to RGB, as pytorch-fid and clean-fid read them;
- LA, PA, RGBA, transparent P: the same, without alpha, whose colours are used as stored;
- I;16 (16-bit grey): v / 257, rounded, so that 65535 is white; Pillow reads 16-bit RGB by its high
  bytes;
- any other (I, F, LAB, HSV …): refused, since it is not defined which value is white.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import cpu_count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ResultsError
from harness.evaluation.image_sets import ImageFile
from harness.store import find_source

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
"""Width and height in pixels."""
RESIZE = "to the baseline's size, Pillow bicubic, if another"
CONVERTED = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LA", "PA", "RGBA"})
"""Modes that Pillow converts to 8-bit RGB without scaling; alpha is dropped."""
GREY16 = "I;16"
_THREADS = max(4, (cpu_count() or 1))


def read_size(image: ImageFile) -> Size:
    """Return width and height; ResultsError if the file is damaged."""
    return _decoded(image).size


def read_images(images: Sequence[ImageFile], size: Size) -> Pixels:
    """Return uint8 RGB pixels (n, height, width, 3), resized to `size` if needed.

    Raises ResultsError for a file that is missing, damaged, or not the one that its outcome
    recorded.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        return np.stack(list(pool.map(lambda image: _read(image, size), images)))


def verify(images: Iterable[ImageFile]) -> None:
    """Raise ResultsError for the first image that is missing or was changed."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(_bytes, images):
            pass


def _bytes(image: ImageFile) -> bytes:
    try:
        data = image.path.read_bytes()
    except OSError as error:
        raise _damaged(image, f"cannot read image: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise _damaged(image, "damaged image: it is not the file the run recorded (sha256)")
    return data


def _damaged(image: ImageFile, what: str) -> ResultsError:
    """Return the error for a recorded image, naming the run it was reused from."""
    source = find_source(image.path)
    origin = f"; it was taken over from {source}" if source else ""
    cell = image.path.parent.parent
    fix = (
        f"Delete that cell's folder ({cell}), then: harness run {cell.parent.parent}. Only this "
        "cell runs again."
    )
    return ResultsError(what + origin, str(image.path), fix)


def _read(image: ImageFile, size: Size) -> Pixels:
    from PIL import Image

    colours = _decoded(image)
    if colours.size != size:
        colours = colours.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(colours)


def _decoded(image: ImageFile) -> "PillowImage":
    try:
        return decode(_bytes(image))
    except UndecodableError as error:
        raise _damaged(image, f"cannot decode image: {error}") from error


def decode(data: bytes) -> "PillowImage":
    """Return an image file as 8-bit RGB; of several images in it the first."""
    with _opened(data) as image:
        return _rgb(image)


def check_decodable(data: bytes) -> int:
    """Return how many images a file contains.

    UndecodableError if it is damaged or of a refused mode. A PNG is checked by its checksums and a
    JPEG at an eighth of its size, which takes a fraction of the time.
    """
    with _opened(data) as image:
        frames = int(getattr(image, "n_frames", 1))
        if image.format == "PNG":
            image.verify()
        else:
            image.draft("L", (image.width // 8, image.height // 8))
            image.load()
        return frames


@contextmanager
def _opened(data: bytes) -> Iterator["PillowImage"]:
    from PIL import Image

    if not data:
        raise UndecodableError("an empty file")
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode not in CONVERTED and not image.mode.startswith(GREY16):
                fix = "save it as 8-bit or 16-bit grey, or as 8-bit RGB"
                raise UndecodableError(
                    f"mode {image.mode} has no defined conversion to 8 bit: {fix}"
                )
            yield image
    except UndecodableError:
        raise
    except Exception as error:  # on damaged data decoders raise anything
        raise UndecodableError(str(error).partition(" <_io")[0] or type(error).__name__) from error


class UndecodableError(Exception):
    """Bytes without a defined conversion to 8-bit RGB; the message says why in a few words."""


def _rgb(image: "PillowImage") -> "PillowImage":
    from PIL import Image

    if image.mode.startswith(GREY16):
        grey = np.asarray(image).astype(np.float64) / 257
        return Image.fromarray(grey.round().astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")
