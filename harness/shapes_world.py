"""The world of the bundled model: captions of coloured shapes, parsed and rendered.

It is below models and metrics: the model draws what captions say, attributes:bundled checks it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

SHAPES: dict[str, int] = {"circle": 0, "square": 1, "triangle": 2, "cross": 3, "ring": 4}
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (225, 40, 45),
    "green": (30, 160, 60),
    "blue": (40, 80, 235),
    "yellow": (250, 215, 40),
    "pink": (240, 90, 200),
    "cyan": (50, 205, 220),
}
SIZES: dict[str, float] = {"small": 10.5, "large": 14.0}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (250, 250, 250),
    "beige": (222, 202, 165),
    "gray": (128, 128, 132),
    "black": (22, 22, 26),
}
RELATIONS: tuple[str, ...] = ("left of", "right of", "above", "below")
LAYOUTS: tuple[str, ...] = ("one", "row", "column")
LABELS: tuple[str, ...] = (
    "layout", "background", "shape_1", "colour_1", "size_1", "shape_2", "colour_2", "size_2",
)  # fmt: skip
CLASSES: dict[str, int] = {
    "layout": len(LAYOUTS), "background": len(BACKGROUNDS),
    "shape_1": len(SHAPES), "colour_1": len(COLOURS), "size_1": len(SIZES),
    "shape_2": len(SHAPES), "colour_2": len(COLOURS), "size_2": len(SIZES),
}  # fmt: skip
UNIT = 64  # side of the world in its own units; an image of 64 px has one pixel per unit
MARGIN = 1.0  # between a thing and the edge of the image, in world units
MISALIGNED = 10.0  # how far two things in a row or column may be off it, in world units
NOTHING = -1  # label of a slot that holds no object
HELD_OUT_SHARE = 10  # one caption in this many is never trained on

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Thing:
    """One object of a scene, by the words that describe it."""

    size: str
    colour: str
    shape: str

    def __str__(self) -> str:
        return f"a {self.size} {self.colour} {self.shape}"


@dataclass(frozen=True, slots=True)
class Scene:
    """The content of one caption: one or two objects, their relation, and the background."""

    background: str
    first: Thing
    relation: str | None = None
    second: Thing | None = None

    @property
    def caption(self) -> str:
        """The sentence that describes this scene."""
        what = (
            str(self.first)
            if self.second is None
            else f"{self.first} {self.relation} {self.second}"
        )
        return f"{what} on a {self.background} background"

    @property
    def labels(self) -> tuple[int, ...]:
        """Integer labels in the order of LABELS.

        Slot 1 is the left or upper object, whatever the caption names first.
        """
        background = list(BACKGROUNDS).index(self.background)
        if self.second is None:
            return (0, background, *_thing_labels(self.first), NOTHING, NOTHING, NOTHING)
        near, far = self.first, self.second
        if self.relation in ("right of", "below"):
            near, far = far, near
        layout = 1 if self.relation in ("left of", "right of") else 2
        return (layout, background, *_thing_labels(near), *_thing_labels(far))


def _thing_labels(thing: Thing) -> tuple[int, int, int]:
    return SHAPES[thing.shape], list(COLOURS).index(thing.colour), list(SIZES).index(thing.size)


def parse(caption: str) -> Scene:
    """Return the scene of a caption; ValueError if it is not a sentence of this world."""
    words = caption.split()
    try:
        background = words[words.index("on") + 2]
        things = [Thing(*words[i + 1 : i + 4]) for i, w in enumerate(words[:-3]) if w == "a"]
        rest = " ".join(words[4 : words.index("a", 1)])
        scene = (
            Scene(background, things[0], rest, things[1])
            if len(things) == 2
            else Scene(background, things[0])
        )
        if scene.caption == caption and scene.labels:
            return scene
    except (ValueError, IndexError, KeyError, TypeError):
        pass
    raise ValueError(f"not a caption of the shapes world: {caption!r}")


def held_out(caption: str) -> bool:
    """Return whether a caption is excluded from all training, by a hash of its text."""
    return int(hashlib.sha256(caption.encode()).hexdigest()[:8], 16) % HELD_OUT_SHARE == 0


@cache
def scenes(split: str = "train") -> tuple[tuple[Scene, ...], tuple[Scene, ...]]:
    """Return the scenes of a split ("train" or "held-out") with one object, and with two."""
    things = [Thing(z, c, s) for z in SIZES for c in COLOURS for s in SHAPES]
    one = [Scene(b, t) for b in BACKGROUNDS for t in things]
    two = [
        Scene(b, t, r, u)
        for b, t, r, u in itertools.product(BACKGROUNDS, things, RELATIONS, things)
    ]
    keep = split == "held-out"
    single, double = (
        tuple(s for s in group if held_out(s.caption) == keep) for group in (one, two)
    )
    return single, double


def draw_scenes(rng: np.random.Generator, count: int, split: str = "train") -> list[Scene]:
    """Draw scenes of a split: a third with one object, the rest with two."""
    one, two = scenes(split)
    pick = rng.random(count) < 1 / 3
    return [
        one[i % len(one)] if single else two[i % len(two)]
        for single, i in zip(pick, rng.integers(0, 2**31, count), strict=True)
    ]


def render(
    scenes_: Sequence[Scene], rng: np.random.Generator, pixels: int = UNIT
) -> NDArray[np.uint8]:
    """Render scenes at random positions, anti-aliased: uint8 (count, pixels, pixels, 3)."""
    labels = np.array([s.labels for s in scenes_], dtype=np.int64).reshape(-1, len(LABELS))
    return draw(labels, place(labels, rng), pixels)


def place(labels: Ints, rng: np.random.Generator) -> Floats:
    """Return random centres of both slots, in world units.

    Float32 of shape (count, 2 slots, x and y). One object is anywhere; two are apart along their
    relation, and at most MISALIGNED off it.
    """
    count = len(labels)
    radius = np.array(list(SIZES.values()))[np.maximum(labels[:, [4, 7]], 0)]
    low, high = radius + MARGIN, UNIT - MARGIN - radius
    apart = radius.sum(1) + 1
    slack = np.sort(rng.random((count, 2)), axis=1) * (high[:, 1] - low[:, 0] - apart)[:, None]
    along = low[:, :1] + slack + np.stack([np.zeros(count), apart], axis=1)
    across = low + rng.random((count, 2)) * (high - low)
    near = across[:, 0] + rng.uniform(-MISALIGNED, MISALIGNED, count)
    alone = labels[:, 0] == 0
    along[alone] = (low + rng.random((count, 2)) * (high - low))[alone]
    across[:, 1] = np.clip(near, low[:, 1], high[:, 1])
    row = (labels[:, 0] != 2)[:, None]
    return np.stack([np.where(row, along, across), np.where(row, across, along)], axis=-1).astype(
        np.float32
    )


def draw(labels: Ints, centres: Floats, pixels: int = UNIT) -> NDArray[np.uint8]:
    """Render labelled scenes with given centres (world units): uint8 (count, pixels, pixels, 3)."""
    grounds = np.array(list(BACKGROUNDS.values()), dtype=np.float32)
    colours = np.array(list(COLOURS.values()), dtype=np.float32)
    radii = np.array(list(SIZES.values()), dtype=np.float32)
    image = np.repeat(grounds[labels[:, 1]][:, None], pixels * pixels, 1).reshape(
        -1, pixels, pixels, 3
    )
    axis = (np.arange(pixels, dtype=np.float32) + 0.5) * (UNIT / pixels)
    for slot in range(2):
        shape, colour, size = (labels[:, 2 + 3 * slot + k] for k in range(3))
        for kind in range(len(SHAPES)):
            rows = np.flatnonzero(shape == kind)
            if len(rows) == 0:
                continue
            radius = radii[size[rows]][:, None, None]
            x = (axis[None, None, :] - centres[rows, slot, 0][:, None, None]) / radius
            y = (axis[None, :, None] - centres[rows, slot, 1][:, None, None]) / radius
            distance = _distance(kind, x, y) * radius * (pixels / UNIT)
            cover = np.clip(0.5 - distance, 0, 1)[..., None]
            image[rows] += cover * (colours[colour[rows]][:, None, None] - image[rows])
    return np.asarray(image + 0.5, dtype=np.uint8)


def _distance(kind: int, x: Floats, y: Floats) -> Floats:
    """Return the signed distance to a shape of radius 1 at the origin, negative inside.

    Y points down.
    """
    if kind == SHAPES["circle"]:
        return np.hypot(x, y) - np.float32(1)
    if kind == SHAPES["square"]:
        return np.maximum(np.abs(x), np.abs(y)) - np.float32(0.86)
    if kind == SHAPES["triangle"]:
        slanted = np.float32(0.894) * np.abs(x) - np.float32(0.447) * (y + np.float32(1.05))
        return np.maximum(slanted, y - np.float32(0.9))
    if kind == SHAPES["cross"]:
        upright = np.maximum(np.abs(x) - np.float32(0.36), np.abs(y) - np.float32(1))
        level = np.maximum(np.abs(x) - np.float32(1), np.abs(y) - np.float32(0.36))
        return np.minimum(upright, level)
    return np.abs(np.hypot(x, y) - np.float32(0.74)) - np.float32(0.26)
