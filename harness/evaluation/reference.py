"""A reference set of real images: a folder, read once and kept in the feature cache."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ResultsError
from harness.evaluation.cache import FeatureCache
from harness.evaluation.lineup import Picture
from harness.evaluation.looking import Reader
from harness.evaluation.pictures import picture_size, read_pictures

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})


def reference_features(folder: str, reader: Reader, cache: FeatureCache) -> NDArray[np.float32]:
    """Return the features (m, d) of every image under a folder, each at its own size.

    Raises ResultsError if there are fewer than two images.
    """
    pictures = [_picture(path) for path in sorted(Path(folder).rglob("*")) if path.suffix.lower() in ENDINGS]
    if len(pictures) < 2:
        fix = "Name a folder of real images in quality.reference, or leave it out."
        raise ResultsError(f"the reference set has {len(pictures)} images", folder, fix)
    keys = [f"{picture.sha256}@own" for picture in pictures]
    known = cache.get(reader.fingerprint, keys)
    for key, picture in zip(keys, pictures, strict=True):
        if key not in known:
            network = reader.scorer.network
            pixels = read_pictures([picture], picture_size(picture))
            known[key] = reader.scorer.features(network.look(pixels))[0]
            cache.put(reader.fingerprint, [(key, known[key])])
    return np.stack([known[key] for key in keys])


def _picture(path: Path) -> Picture:
    return Picture(path, hashlib.sha256(path.read_bytes()).hexdigest())
