"""What distribution metrics refer to where the matrix names it: real images in a folder, or statistics of them.

The id of a set is made of its content, so that scores against different sets never compare.
"""

import hashlib
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from harness.core.errors import UsageError
from harness.core.quality import BASELINE_AT_OTHER_SEEDS
from harness.evaluation.cache import FeatureCache
from harness.evaluation.lineup import Picture
from harness.evaluation.looking import Reader
from harness.evaluation.pictures import picture_size, read_pictures
from harness.stats.frechet import Floats, Moments

OTHER_SEEDS = f"{BASELINE_AT_OTHER_SEEDS}, same prompts"
ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
_FIX = "In quality.reference name a folder of real images or an .npz of statistics (mu, sigma), or leave it out."
_BATCH = 16


@dataclass(frozen=True)
class ImageSet:
    """Real images, each looked at in its own size, once: their features stay in the cache."""

    pictures: tuple[Picture, ...]

    @cached_property
    def id(self) -> str:
        hashes = "\n".join(sorted(picture.sha256 for picture in self.pictures))
        return f"{len(self.pictures)} images, sha256 {hashlib.sha256(hashes.encode()).hexdigest()}"

    def read(self, reader: Reader, cache: FeatureCache) -> Floats:
        """Return the features (m, d) of every image."""
        keys = [f"{picture.sha256}@own" for picture in self.pictures]
        known = cache.get(reader.fingerprint, list(dict.fromkeys(keys)))
        missing = {key: picture for key, picture in zip(keys, self.pictures, strict=True) if key not in known}
        by_size: dict[tuple[int, int], list[str]] = defaultdict(list)
        for key, picture in missing.items():
            by_size[picture_size(picture)].append(key)
        for size, alike in by_size.items():
            for start in range(0, len(alike), _BATCH):
                part = alike[start : start + _BATCH]
                pixels = read_pictures([missing[key] for key in part], size)
                rows = reader.scorer.features(reader.scorer.network.look(pixels))
                known.update(zip(part, rows, strict=True))
                cache.put(reader.fingerprint, zip(part, rows, strict=True))
        return np.stack([known[key] for key in keys]).astype(np.float64)


@dataclass(frozen=True)
class Statistics:
    """Mean and covariance of the features of real images, as pytorch-fid, clean-fid and MLPerf publish them."""

    moments: Moments
    sha256: str

    @property
    def id(self) -> str:
        return f"statistics of {len(self.moments.mean)} features, sha256 {self.sha256}"

    def read(self, reader: Reader, cache: FeatureCache) -> Moments:
        """Return the moments."""
        return self.moments


ReferenceSet = ImageSet | Statistics


def open_reference(name: str | None) -> ReferenceSet | None:
    """Return the reference set a matrix names, or None where it names none.

    Raises UsageError for a path that does not exist, fewer than two images, or an .npz that holds no statistics.
    """
    if name is None:
        return None
    path = Path(name).expanduser()
    if path.is_dir():
        return _open_folder(path)
    if path.is_file():
        return _open_statistics(path)
    raise UsageError(f"no such file or folder: {path.absolute()}", "quality.reference", _FIX)


def why_not_readable(reference: ReferenceSet | None, statistic: str, features: int) -> str:
    """Return why a metric of this statistic and so many features has no use for a set; an empty string if it has."""
    if not isinstance(reference, Statistics):
        return ""
    if statistic != "frechet":
        return "quality.reference holds mean and covariance only: this metric needs the real images themselves"
    if len(reference.moments.mean) != features:
        return f"quality.reference is of {len(reference.moments.mean)} features, this metric reads {features}"
    return ""


def _open_folder(path: Path) -> ImageSet:
    files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in ENDINGS]
    if len(files) < 2:
        raise UsageError(f"too few images in {path.absolute()}: {len(files)}", "quality.reference", _FIX)
    return ImageSet(tuple(Picture(file, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files))


def _open_statistics(path: Path) -> Statistics:
    try:
        with np.load(path, allow_pickle=False) as archive:
            mean, covariance = (np.asarray(archive[key], dtype=np.float64) for key in ("mu", "sigma"))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        what = f"{path.absolute()} holds no arrays mu and sigma ({error})"
        raise UsageError(what, "quality.reference", _FIX) from error
    shapes = f"mu {mean.shape} and sigma {covariance.shape}"
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        what = f"{path.absolute()} holds {shapes}: expected (d,) and (d, d)"
        raise UsageError(what, "quality.reference", _FIX)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise UsageError(f"{path.absolute()} holds values that are not finite", "quality.reference", _FIX)
    return Statistics(Moments(mean, covariance), hashlib.sha256(path.read_bytes()).hexdigest())
