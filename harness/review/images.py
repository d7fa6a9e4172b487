"""Images of a page: decoded, resized and encoded alike, so that only their pixels differ."""

import hashlib
import math
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from harness.core.errors import ResultsError
from harness.damages import apply_damage

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

PAGE_BYTES = 96 * 2**20
"""Above this all images of a page are encoded with loss; browsers handle larger pages badly."""
LOSSLESS, LOSSY = "lossless WebP", "WebP, quality 95"
_HEADER_BYTES = 8
_THREADS = 4


class Encoded(NamedTuple):
    """The images of each pair (left, right) as bytes, and how they were encoded."""

    pairs: tuple[tuple[bytes, bytes], ...]
    encoding: str


def read_image(path: Path, sha256: str) -> "PillowImage":
    """Return an image of the run as 8-bit RGB; ResultsError if it is not the recorded file."""
    from PIL import Image

    fix = f"Delete the cell's folder ({path.parent.parent}) and run the same matrix again."
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ResultsError("damaged image: another sha256 was recorded", str(path), fix)
        with Image.open(BytesIO(data)) as opened:
            return opened.convert("RGB")
    except OSError as error:
        raise ResultsError(f"cannot read image: {error}", str(path), fix) from error


def fit(image: "PillowImage", size: tuple[int, int]) -> "PillowImage":
    """Return an image at the baseline's size, since another size would show which one it is."""
    from PIL import Image

    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def damage(image: "PillowImage", name: str) -> "PillowImage":
    """Return a damaged copy of an image."""
    from PIL import Image

    return Image.fromarray(apply_damage(np.asarray(image)[None], name)[0])


def encode_pairs(
    pairs: Sequence[tuple["PillowImage", "PillowImage"]], budget: int = PAGE_BYTES
) -> Encoded:
    """Return the images of pairs in one encoding; the two of a pair have the same length.

    Lossless if all fit into `budget` bytes, else all with loss.
    """
    flat = [image for pair in pairs for image in pair]
    data, encoding = _encode_all(flat, LOSSLESS, budget), LOSSLESS
    if data is None:
        data, encoding = _encode_all(flat, LOSSY, math.inf), LOSSY
    assert data is not None
    halves = zip(data[::2], data[1::2], strict=True)
    return Encoded(tuple(_even(*both) for both in halves), encoding)


def _encode_all(
    images: Sequence["PillowImage"], encoding: str, budget: float
) -> list[bytes] | None:
    """Return encoded images; None as soon as they exceed the budget."""
    data: list[bytes] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for encoded in pool.map(lambda image: _encode(image, encoding), images):
            data.append(encoded)
            if sum(map(len, data)) > budget:
                pool.shutdown(cancel_futures=True)
                return None
    return data


def _encode(image: "PillowImage", encoding: str) -> bytes:
    file = BytesIO()
    if encoding == LOSSLESS:
        image.save(file, "WEBP", lossless=True, quality=25, method=2)
    else:
        image.save(file, "WEBP", quality=95, method=2)
    return file.getvalue()


def _even(left: bytes, right: bytes) -> tuple[bytes, bytes]:
    """Return two WebP files of one length: a smoother image would otherwise be a shorter file."""
    length = max(len(left), len(right)) + _HEADER_BYTES
    return _pad(left, length), _pad(right, length)


def _pad(data: bytes, length: int) -> bytes:
    """Return a WebP file with a chunk of zeros at its end, which decoders skip."""
    filler = length - len(data) - _HEADER_BYTES
    chunk = b"JUNK" + struct.pack("<I", filler) + bytes(filler)
    return b"RIFF" + struct.pack("<I", length - _HEADER_BYTES) + data[_HEADER_BYTES:] + chunk
