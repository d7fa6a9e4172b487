"""The rules of GenEval (Ghosh et al. 2023): does a picture with these boxes show what a prompt asks for?

An object counts as found from a detection score on; where a prompt names a number, from a higher one on. Colour and
position are read off the surest box of an object.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.metrics._geneval_prompts import Asked

FOUND, COUNTED = 0.3, 0.4
"""Scores that a box must exceed. GenEval has 0.3 and 0.9 for Mask2Former; OWLv2 gives plain objects about 0.6."""
OVERLAP = 0.5
"""Boxes of one object that overlap more (intersection over union) are one. Mask2Former needs no such rule."""
MOST = 16
"""Boxes of one object that are kept."""
MARGIN = 0.1
"""Share of both objects' extents by which their centres must lie apart before a position is told."""
_SLANT = 0.5
"""Share of the distance that must lie along an axis: 60 degrees to either side."""
_NOTHING = 1e-3


class Box(NamedTuple):
    """A detected object in pixels of its picture."""

    score: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return max(self.right - self.left, 0) * max(self.bottom - self.top, 0)

    @property
    def centre(self) -> NDArray[np.float64]:
        return np.array([self.left + self.right, self.top + self.bottom]) / 2

    @property
    def extent(self) -> NDArray[np.float64]:
        return np.array([self.right - self.left, self.bottom - self.top])


Objects = Mapping[str, Sequence[Box]]
"""Object → its boxes, surest first."""


def overlap(first: Box, second: Box) -> float:
    """Return intersection over union."""
    width = min(first.right, second.right) - max(first.left, second.left)
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    shared = max(width, 0) * max(height, 0)
    union = first.area + second.area - shared
    return shared / union if union else 0.0


def distinct(boxes: Sequence[Box]) -> list[Box]:
    """Return the boxes of one object, surest first, without those that a surer one covers."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: box.score, reverse=True)[:MOST]:
        if all(overlap(box, other) <= OVERLAP for other in kept):
            kept.append(box)
    return kept


def positions(first: Box, second: Box) -> set[str]:
    """Return where the first box lies, seen from the second; none where they are too close to tell."""
    offset = first.centre - second.centre
    clear = np.maximum(np.abs(offset) - MARGIN * (first.extent + second.extent), 0) * np.sign(offset)
    if (np.abs(clear) < _NOTHING).all():
        return set()
    right, down = clear / np.linalg.norm(offset)
    told = {"left of": -right, "right of": right, "above": -down, "below": down}
    return {relation for relation, share in told.items() if share > _SLANT}


def shows(asked: Asked, objects: Objects, colour_of: Callable[[str, Box], str]) -> bool:
    """Return whether all that is asked for is there; `colour_of` an object in a box is only asked where it matters."""
    if asked.number:
        boxes = objects.get(asked.objects[0].name, ())
        return sum(box.score > COUNTED for box in boxes) == asked.number
    found = [objects.get(thing.name, ()) for thing in asked.objects]
    if not all(found):
        return False
    surest = [boxes[0] for boxes in found]
    if asked.relation and asked.relation not in positions(*surest):
        return False
    pairs = zip(asked.objects, surest, strict=True)
    return all(colour_of(thing.name, box) == thing.colour for thing, box in pairs if thing.colour)
