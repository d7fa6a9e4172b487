"""Read pictures: verified against the outcome's sha256, decoded, brought to the baseline's size."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ResultsError
from harness.evaluation.lineup import AGAIN, Picture

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
"""Width and height in pixels."""
RESIZE = "to the baseline's size, Pillow bicubic, if another"
_THREADS = max(4, (cpu_count() or 1))


def picture_size(picture: Picture) -> Size:
    """Return width and height; ResultsError if the file is damaged."""
    from PIL import Image

    with Image.open(io.BytesIO(_bytes(picture))) as image:
        return image.size


def read_pictures(pictures: Sequence[Picture], size: Size) -> Pixels:
    """Return uint8 RGB pixels (n, height, width, 3), resized to `size` where a picture differs.

    Raises ResultsError for a file that is missing, damaged, or not the one its outcome recorded.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        return np.stack(list(pool.map(lambda picture: _read(picture, size), pictures)))


def verify(pictures: Iterable[Picture]) -> None:
    """Raise ResultsError for the first picture that is missing or not the one its outcome recorded."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(_bytes, pictures):
            pass


def _bytes(picture: Picture) -> bytes:
    try:
        data = picture.path.read_bytes()
    except OSError as error:
        raise ResultsError(f"cannot read image: {error.strerror}", str(picture.path), AGAIN) from error
    if hashlib.sha256(data).hexdigest() != picture.sha256:
        raise ResultsError("damaged image: it is not the file the run recorded (sha256)", str(picture.path), AGAIN)
    return data


def _read(picture: Picture, size: Size) -> Pixels:
    from PIL import Image, UnidentifiedImageError

    data = _bytes(picture)
    try:
        with Image.open(io.BytesIO(data)) as image:
            colours = image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise ResultsError(f"cannot decode image: {error}", str(picture.path), AGAIN) from error
    if colours.size != size:
        colours = colours.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(colours)
