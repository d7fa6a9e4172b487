"""Feature extraction: networks run once per image, and features are cached across runs."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.base import Advance
from harness.core.quality import Definition, MetricKind
from harness.damages import apply_damage
from harness.evaluation.image_sets import ImageFile, ImageSets, Variant
from harness.evaluation.reading import RESIZE, Pixels, Size, read_images

_FILE = "features-1.sqlite3"
_ASK = 500

Row = NDArray[np.float32]


class FeatureCache:
    """Rows of float32 by (extractor fingerprint, key); a cache that cannot be opened is empty."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE
        self._connection: sqlite3.Connection | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open()
        except (OSError, sqlite3.Error):
            self._reset()

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._file, timeout=30)
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS seen (extractor TEXT, key TEXT, value BLOB, PRIMARY KEY "
            "(extractor, key)) WITHOUT ROWID"
        )

    def _reset(self) -> None:
        """Recreate a damaged file; without a file if that fails, since a cache is optional."""
        self._connection = None
        try:
            self._file.unlink(missing_ok=True)
            self._open()
        except (OSError, sqlite3.Error):
            self._connection = None

    def get(self, extractor: str, keys: Sequence[str]) -> dict[str, Row]:
        """Return the cached rows among `keys`."""
        found: dict[str, Row] = {}
        try:
            for start in range(0, len(keys), _ASK) if self._connection else ():
                part = keys[start : start + _ASK]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, value FROM seen WHERE extractor = ? AND key IN ({marks})"
                for key, value in self._connection.execute(query, (extractor, *part)):  # type: ignore[union-attr]
                    found[key] = np.frombuffer(value, dtype=np.float32)
        except sqlite3.Error:
            self._reset()
        return found

    def put(self, extractor: str, rows: Iterable[tuple[str, Row]]) -> None:
        """Store rows; silently not, if the disk is full or the folder read-only."""
        if self._connection is None:
            return
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO seen VALUES (?, ?, ?)",
                    (
                        (extractor, key, np.ascontiguousarray(row, dtype=np.float32).tobytes())
                        for key, row in rows
                    ),
                )
        except sqlite3.Error:
            self._connection = None

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


Rows = NDArray[np.float32]
_PIXELS_PER_BATCH = 2**20
_SEEN = {"extractor", "weights_sha256", "resize", "value_range", "library"}
ZERO: Rows = np.zeros(1, dtype=np.float32)


@dataclass(frozen=True)
class Reader:
    """A metric that reads images: how to load its scorer, and the fingerprint of its rows."""

    definition: Definition
    load: Callable[[], Any]

    @property
    def name(self) -> str:
        return self.definition.metric

    @property
    def paired(self) -> bool:
        return self.kind == "paired"

    @property
    def kind(self) -> MetricKind:
        return self.definition.kind

    @property
    def is_quick(self) -> bool:
        """Whether it reads images without weights."""
        return not self.definition.weights_sha256

    @cached_property
    def scorer(self) -> Any:
        return self.load()

    @cached_property
    def fingerprint(self) -> str:
        """The key of its rows; metrics that read the same features, as FID and KID, share it."""
        seen = self.definition.model_dump(include=_SEEN)
        own = self.kind in ("paired", "correctness")
        made = self.definition.model_dump(include={"metric", "formula"}) if own else {}
        return hashlib.sha256(json.dumps([seen, made, RESIZE]).encode()).hexdigest()

    def wants(self, variant: Variant, baseline: Variant) -> bool:
        """Whether it reads a variant; the distance of the baseline to itself is not computed."""
        return self.kind in variant.kinds and not (self.paired and variant is baseline)


def _text_key(text: str) -> str:
    return "text:" + hashlib.sha256(text.encode()).hexdigest()


class FeatureStore:
    """Rows per (metric, variant), extracted or from the cache."""

    def __init__(self, image_sets: ImageSets, size: Size, cache: FeatureCache) -> None:
        self.image_sets, self.size, self.cache = image_sets, size, cache
        self._known: dict[str, dict[str, Rows]] = {}

    def rows(self, reader: Reader, variant: Variant) -> Rows:
        """Return a metric's rows of a variant: features (n, d), or distances (n, 1) if paired."""
        known = self._known[reader.fingerprint]
        return np.stack([known[key] for key in self._keys(reader, variant)])

    def texts(self, reader: Reader) -> Rows:
        """Return the text features (prompts, d) of an alignment metric."""
        texts = self.image_sets.texts
        keys = [_text_key(text) for text in texts]
        known = self.cache.get(reader.fingerprint, list(dict.fromkeys(keys)))
        if missing := {
            key: text for key, text in zip(keys, texts, strict=True) if key not in known
        }:
            found = reader.scorer.texts(list(missing.values()))
            known.update(zip(missing, found, strict=True))
            self.cache.put(reader.fingerprint, zip(missing, found, strict=True))
        return np.stack([known[key] for key in keys])

    def extract(
        self, readers: Sequence[Reader], variants: Sequence[Variant], advance: Advance
    ) -> None:
        """Extract all rows that are not in the cache; `advance` counts the images."""
        for reader in readers:
            keys = [
                key
                for v in variants
                if reader.wants(v, self.image_sets.baseline)
                for key in self._keys(reader, v)
            ]
            known = self._known.setdefault(reader.fingerprint, {})
            known.update(self.cache.get(reader.fingerprint, list(dict.fromkeys(keys))))
        total, done = sum(len(variant.images) for variant in variants), 0
        advance("images", 0, total)
        for part in self._batches():
            batch = _Batch(self, part)
            for variant in variants:
                count = len(variant.images[part])
                for reader in readers if count else ():
                    self._see(batch, reader, variant)
                batch.forget(variant)
                done += count
                advance("images", done, total)

    def _batches(self) -> Iterator[slice]:
        step = max(4, min(64, _PIXELS_PER_BATCH // (self.size[0] * self.size[1])))
        for start in range(0, len(self.image_sets.keys), step):
            yield slice(start, start + step)

    def _see(self, batch: "_Batch", reader: Reader, variant: Variant) -> None:
        if not reader.wants(variant, self.image_sets.baseline):
            return
        keys = self._keys(reader, variant, batch.part)
        known = self._known[reader.fingerprint]
        if reader.paired:  # one and the same image: no distance, by definition
            pairs = zip(
                keys,
                self.image_sets.baseline.images[batch.part],
                variant.images[batch.part],
                strict=False,
            )
            known.update((key, ZERO) for key, base, own in pairs if base.same_pixels(own))
        if all(key in known for key in keys):
            return
        if reader.paired:
            first = batch.activations(reader.scorer.network, self.image_sets.baseline, len(keys))
            second = batch.activations(reader.scorer.network, variant)
            found = reader.scorer.distances(first, second)[:, None]
        elif reader.kind == "correctness":
            found = reader.scorer.found(
                batch.activations(reader.scorer.network, variant),
                self._checked(variant, batch.part),
            )[:, None]
        else:
            found = reader.scorer.features(batch.activations(reader.scorer.network, variant))
        fresh = dict(zip(keys, found.astype(np.float32), strict=True))
        known.update(fresh)
        damaged = any(image.damage for image in variant.images[batch.part])
        if not (damaged and reader.is_quick):  # made again in less time than it takes to keep them
            self.cache.put(reader.fingerprint, fresh.items())

    def _keys(self, reader: Reader, variant: Variant, part: slice = slice(None)) -> list[str]:
        size = f"@{self.size[0]}x{self.size[1]}"
        own = [f"{image.sha256}{size}{image.damage}" for image in variant.images[part]]
        if reader.kind == "correctness":
            texts = self._checked(variant, part)
            return [f"{key}|{_text_key(text)}" for key, text in zip(own, texts, strict=True)]
        if not reader.paired:
            return own
        return [
            f"{base.sha256}|{key}"
            for base, key in zip(self.image_sets.baseline.images[part], own, strict=False)
        ]

    def _checked(self, variant: Variant, part: slice) -> list[str]:
        """Return the text against which each image of a part is checked."""
        return [
            self.image_sets.get_text(variant, place)
            for place in range(*part.indices(len(variant.images)))
        ]


class _Batch:
    """Pixels and activations of one slice of keys, shared by metrics and variants."""

    def __init__(self, feature_store: FeatureStore, part: slice) -> None:
        self.feature_store, self.part = feature_store, part
        self._kept = {image.sha256 for image in feature_store.image_sets.baseline.images[part]}
        self._decoded: dict[str, Any] = {}
        self._pixels: dict[str, Pixels] = {}
        self._seen: dict[tuple[int, str, int], Any] = {}

    def pixels(self, variant: Variant) -> Pixels:
        if variant.name not in self._pixels:
            self._pixels[variant.name] = self._damaged(variant.images[self.part])
        return self._pixels[variant.name]

    def _damaged(self, images: Sequence[ImageFile]) -> Pixels:
        """Return the pixels of images with their damages, reading each file once."""
        unread = {image.sha256: image for image in images if image.sha256 not in self._decoded}
        if unread:
            self._decoded |= zip(
                unread, read_images(list(unread.values()), self.feature_store.size), strict=True
            )
        pixels = np.stack([self._decoded[image.sha256] for image in images])
        for damage in dict.fromkeys(image.damage for image in images if image.damage):
            chosen = [place for place, image in enumerate(images) if image.damage == damage]
            pixels[chosen] = apply_damage(pixels[chosen], damage)
        return pixels

    def activations(self, network: Any, variant: Variant, count: int | None = None) -> Any:
        """Return a network's activations of a variant's images, or of the first `count` of them."""
        pixels = self.pixels(variant)[:count]
        key = (id(network), variant.name, len(pixels))
        if key not in self._seen:
            self._seen[key] = network.extract(pixels)
        return self._seen[key]

    def forget(self, variant: Variant) -> None:
        """Drop what only this variant needed."""
        if variant is not self.feature_store.image_sets.baseline:
            self._pixels.pop(variant.name, None)
            self._decoded = {
                key: value for key, value in self._decoded.items() if key in self._kept
            }
            self._seen = {key: value for key, value in self._seen.items() if key[1] != variant.name}
