"""Reference sets of distribution metrics: real images in a folder, or statistics of them.

The id of a set is derived from its content, so that scores against different sets never compare.
Files are checked in the plan: a damaged one that is found after all measurements costs the whole
run.
"""

import hashlib
import zipfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from harness.checkpoints.cache import keep, read_kept
from harness.checkpoints.digest import digest_file, is_stable, read_file_state
from harness.checkpoints.header import refuse_pointers
from harness.core.errors import ResultsError, UsageError
from harness.core.matrix import Quality
from harness.core.parsing import expand_user
from harness.core.quality import BASELINE_AT_OTHER_SEEDS
from harness.evaluation.feature_store import FeatureCache, Reader
from harness.evaluation.image_sets import ImageFile
from harness.evaluation.reading import (
    UndecodableError,
    check_decodable,
    read_images,
    read_size,
)
from harness.metrics import get_metric
from harness.stats.frechet import Floats, Moments

OTHER_SEEDS = f"{BASELINE_AT_OTHER_SEEDS}, same prompts"
ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
_FIX = (
    "In quality.reference name a folder of real images or an .npz of statistics (mu, sigma), or "
    "leave it out."
)
_REPAIR = "Remove or replace them: the images of a reference set are used all or not at all."
_BATCH = 16
_CHECK = 1
"""Version of the check of images; a cached result of another version does not count."""
_NAMED = 5
"""Number of files named in a message; the others are counted."""


@dataclass(frozen=True)
class ImageSet:
    """Real images, each read in its own size, once: their features stay in the cache."""

    images: tuple[ImageFile, ...]

    @cached_property
    def id(self) -> str:
        hashes = "\n".join(sorted(image.sha256 for image in self.images))
        return f"{len(self.images)} images, sha256 {hashlib.sha256(hashes.encode()).hexdigest()}"

    def read(self, reader: Reader, cache: FeatureCache) -> Floats:
        """Return the features (m, d) of all images; UsageError for a changed or damaged file."""
        try:
            return self._read(reader, cache)
        except ResultsError as error:
            raise UsageError(
                f"{error.where}: {error.what}", "quality.reference", _REPAIR
            ) from error

    def _read(self, reader: Reader, cache: FeatureCache) -> Floats:
        keys = [f"{image.sha256}@8bit" for image in self.images]
        known = cache.get(reader.fingerprint, list(dict.fromkeys(keys)))
        missing = {
            key: image for key, image in zip(keys, self.images, strict=True) if key not in known
        }
        by_size: dict[tuple[int, int], list[str]] = defaultdict(list)
        for key, image in missing.items():
            by_size[read_size(image)].append(key)
        for size, alike in by_size.items():
            for start in range(0, len(alike), _BATCH):
                part = alike[start : start + _BATCH]
                pixels = read_images([missing[key] for key in part], size)
                rows = reader.scorer.features(reader.scorer.network.extract(pixels))
                known.update(zip(part, rows, strict=True))
                cache.put(reader.fingerprint, zip(part, rows, strict=True))
        return np.stack([known[key] for key in keys]).astype(np.float64)


@dataclass(frozen=True)
class Statistics:
    """Mean and covariance of features, as pytorch-fid, clean-fid and MLPerf publish them."""

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
    """Return the reference set that a matrix names, or None.

    Raises UsageError for a path that does not exist, fewer than two images, or an .npz without
    statistics.
    """
    if name is None:
        return None
    path = expand_user(name)
    if path.is_dir():
        return _open_folder(path)
    if path.is_file():
        return _open_statistics(path)
    raise UsageError(f"no such file or folder: {path.absolute()}", "quality.reference", _FIX)


def explain_unreadable(reference: ReferenceSet | None, statistic: str, features: int) -> str:
    """Return why such a metric cannot use a reference set, or an empty string."""
    if not isinstance(reference, Statistics):
        return ""
    if statistic != "frechet":
        return (
            "quality.reference holds mean and covariance only: this metric needs the real images "
            "themselves"
        )
    if len(reference.moments.mean) != features:
        return (
            f"quality.reference is of {len(reference.moments.mean)} features, this metric reads "
            f"{features}"
        )
    return ""


def list_reference_notes(quality: Quality) -> tuple[str, ...]:
    """Return the plan's notes on a matrix's reference set, after checking every file.

    Raises UsageError as `open_reference` does, and for images that are damaged or cannot be
    converted to 8-bit RGB.
    """
    reference = open_reference(quality.reference)
    if reference is None:
        return ()
    notes = [f"quality.reference: {reference.id.partition(', ')[0]}"]
    if isinstance(reference, ImageSet):
        notes += _check_images(reference)
        notes += _ignored(expand_user(quality.reference or ""))
    for metric in map(get_metric, quality.metrics):
        uses_it = metric.kind == "distribution" and not metric.needs_baseline
        if uses_it and (why := explain_unreadable(reference, metric.statistic, metric.dimensions)):
            notes.append(f"{metric.name} will have no score: {why}")
    return tuple(notes)


def _check_images(reference: ImageSet) -> list[str]:
    """Return a note if files contain several images; UsageError if any is not an image.

    The check reads every file, about 5 ms each. Its result is cached until a file changes.
    """
    paths = [image.path for image in reference.images]
    states = [read_file_state(path) for path in paths]
    name = hashlib.sha256(repr((_CHECK, list(map(str, paths)), states)).encode()).hexdigest()
    several = read_kept("reference-checks", name)
    if not isinstance(several, int):
        several = _count_multipage(paths)
        if all(map(is_stable, states)):
            keep("reference-checks", name, several)
    if not several:
        return []
    return [f"quality.reference: the first image is read of {several} files that hold several"]


def _count_multipage(paths: Sequence[Path]) -> int:
    """Return the number of files with several images; UsageError if any file is not an image."""

    def check(path: Path) -> int | str:
        try:
            return check_decodable(path.read_bytes())
        except UndecodableError as error:
            return str(error)
        except OSError as error:
            return str(error.strerror)

    with ThreadPoolExecutor() as pool:
        found = list(zip(paths, pool.map(check, paths), strict=True))
    _refuse([(path, frames) for path, frames in found if isinstance(frames, str)])
    return sum(isinstance(frames, int) and frames > 1 for _, frames in found)


def _refuse(problems: Sequence[tuple[Path, str]]) -> None:
    if problems:
        named = "; ".join(f"{path}: {why}" for path, why in problems[:_NAMED])
        more = f"; {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise UsageError(f"not readable as images: {named}{more}", "quality.reference", _REPAIR)


def _ignored(folder: Path) -> list[str]:
    """Return a note that counts the other files of a folder, by ending."""
    others = [path for path in folder.rglob("*") if path.suffix.lower() not in ENDINGS]
    kinds = Counter(path.suffix or path.name for path in others if not path.is_dir())
    kinds.update(
        f"{path.name}, a link to a folder" for path in others if path.is_dir() and path.is_symlink()
    )
    named = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(_NAMED))
    more = ", …" if len(kinds) > _NAMED else ""
    return (
        [f"quality.reference: {kinds.total()} other files ignored: {named}{more}"] if kinds else []
    )


def _open_folder(path: Path) -> ImageSet:
    files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in ENDINGS]
    refuse_pointers(files)
    images, problems = [], []
    for file in files:
        try:
            images.append(ImageFile(file, digest_file(file)))
        except OSError as error:
            problems.append((file, str(error.strerror)))
    _refuse(problems)
    if len(files) < 2:
        ignored = "".join(f" ({note.partition(': ')[2]})" for note in _ignored(path))
        raise UsageError(
            f"too few images in {path.absolute()}: {len(files)}{ignored}", "quality.reference", _FIX
        )
    return ImageSet(tuple(images))


def _open_statistics(path: Path) -> Statistics:
    refuse_pointers((path,))
    try:
        with np.load(path, allow_pickle=False) as archive:
            mean, covariance = (
                np.asarray(archive[key], dtype=np.float64) for key in ("mu", "sigma")
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        what = f"{path.absolute()} holds no arrays mu and sigma ({error})"
        raise UsageError(what, "quality.reference", _FIX) from error
    shapes = f"mu {mean.shape} and sigma {covariance.shape}"
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        what = f"{path.absolute()} holds {shapes}: expected (d,) and (d, d)"
        raise UsageError(what, "quality.reference", _FIX)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise UsageError(
            f"{path.absolute()} holds values that are not finite", "quality.reference", _FIX
        )
    return Statistics(Moments(mean, covariance), hashlib.sha256(path.read_bytes()).hexdigest())
