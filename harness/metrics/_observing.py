"""Run a metric's real path, from uint8 pixels to the number, on pictures drawn from a formula, step by step."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics._base import CorrectnessScorer, FeatureScorer, Metric, PairScorer, Pixels, Scorer, TextScorer
from harness.metrics._feeding import Feed
from harness.metrics._vector import Excerpt, Vector, excerpt, versions
from harness.metrics._weights import sha256_of

SIZES = ((48, 64), (352, 400))
"""Height and width: one smaller and one larger than what networks look at, neither square."""
TEXT = "A photo of 2 small red circles, left of a café’s window — naïve & large"
CHECKABLE = (TEXT, "a photo of an orange bench and a blue tv", "a large red circle on a white background")
"""Texts of which each correctness metric can check at least one."""


def picture(size: tuple[int, int], other: bool = False) -> Pixels:
    """Return a uint8 picture (height, width, 3) of waves and squares, in whole numbers; `other` is it, damaged."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.int64)
    red = _wave(3 * x + 2 * y, 61)
    green = ((x // 9 + y // 7) % 2) * 170 + _wave(x - y, 37) // 4
    blue = _wave(x * y // 16, 97)
    pixels = np.stack([red, green, blue], axis=-1)
    if other:
        pixels = pixels * 7 // 8 + _wave(5 * x + 11 * y, 23)[..., None] // 9
    return pixels.clip(0, 255).astype(np.uint8)


def _wave(ticks: NDArray[np.int64], half: int) -> NDArray[np.int64]:
    return np.abs(ticks % (2 * half) - half) * 255 // half


def observe(metric: Metric, scorer: Scorer, whole: bool) -> Vector:
    """Return what a scorer makes of the pictures; where not `whole`, its network stops at what it is fed."""
    inputs: list[Excerpt] = []
    outputs: list[Excerpt] = []
    for size in (size for size in SIZES if min(size) >= metric.least_pixels):
        name = f"picture of {size[1]}×{size[0]}"
        feed = Feed(stop=not whole)
        with feed:
            seen = scorer.network.look(picture(size)[None])
        inputs += [excerpt(f"{name}, as its network is fed", tensor) for tensor in feed.seen]
        if whole:
            outputs += _results(metric, scorer, seen, (name, size))
    if isinstance(scorer, TextScorer):
        feed = Feed(stop=not whole)
        with feed:
            read = scorer.texts([TEXT])
        inputs += [excerpt("token ids of the text", tensor) for tensor in feed.seen]
        outputs += [excerpt("text features", read)] if whole else []
    if isinstance(scorer, CorrectnessScorer):
        inputs += [excerpt(what, ids) for what, ids in scorer.token_ids().items()]
    shipped = {path.name: sha256_of(path) for path in metric.ships()}
    covers = "pixels to scores" if whole else "what the network is fed; not its features: the weights could not be had"
    return Vector(covers=covers, made_with=versions(), shipped=shipped, inputs=tuple(inputs), outputs=tuple(outputs))


def _results(metric: Metric, scorer: Any, seen: Any, named: tuple[str, tuple[int, int]]) -> list[Excerpt]:
    name, size = named
    if isinstance(scorer, PairScorer):
        distances = scorer.distances(seen, scorer.network.look(picture(size, other=True)[None]))
        scores = metric.to_score(distances)
        return [excerpt(f"{name}, distance", distances), excerpt(f"{name}, score", scores)]
    if isinstance(scorer, CorrectnessScorer):
        texts = [next(text for text in CHECKABLE if not metric.refusal(text))]
        found = {**scorer.evidence(seen, texts), "share": scorer.found(seen, texts)}
        return [excerpt(f"{name}, {what}", numbers) for what, numbers in found.items()]
    assert isinstance(scorer, FeatureScorer)
    features = scorer.features(seen)
    read = [excerpt(f"{name}, features", features)]
    if isinstance(scorer, TextScorer):
        cosines = np.asarray(scorer.texts([TEXT]) @ features[0], dtype=np.float64)
        read.append(excerpt(f"{name}, score", metric.to_score(cosines)))
    return read
