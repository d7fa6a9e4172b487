"""GenEval's prompts and rules (Ghosh et al. 2023).

What a prompt asks for, and whether boxes show it. GenEval generates its prompts from six patterns,
the 80 object names of COCO and ten colours, so a prompt states all that is checked. GenEval's
spelling counts: it writes `a photo of two toothbrushs`.

An object counts as found above a detection score; where a prompt names a number, above a higher
one. Colour and position are read off the box of an object with the highest score.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OBJECTS = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant",
    "bed", "dining table", "toilet", "tv", "laptop", "computer mouse", "tv remote",
    "computer keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator",
    "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
COUNTS = {"two": 2, "three": 3, "four": 4}
RELATIONS = ("left of", "right of", "above", "below")
_VOWELS = "aeiou"


class WantedObject(NamedTuple):
    """One object of a prompt; `colour` is empty where the prompt names none."""

    name: str
    colour: str = ""


class Asked(NamedTuple):
    """All that a prompt asks for.

    `number` is set where the prompt names a number: exactly so many of the first object. `relation`
    is the position of the first object relative to the second.
    """

    objects: tuple[WantedObject, ...]
    number: int = 0
    relation: str = ""


def add_article(words: str) -> str:
    """Return words with their article: `an apple`."""
    return f"an {words}" if words[0] in _VOWELS else f"a {words}"


def pluralize(name: str) -> str:
    """Return the plural of an object as GenEval spells it: `buses`, `benchs`."""
    return f"{name}es" if name.endswith("s") else f"{name}s"


_SINGULARS = {pluralize(name): name for name in OBJECTS}


def _either(words: tuple[str, ...]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


def _thing(which: int) -> str:
    """Return the pattern of an object with its article and an optional colour."""
    return (
        f"(?P<article{which}>an?) (?:(?P<colour{which}>{_either(COLOURS)}) "
        f")?(?P<name{which}>{_either(OBJECTS)})"
    )


_THINGS = re.compile(
    f"a photo of {_thing(1)}(?: (?P<between>and|{_either(RELATIONS)}) {_thing(2)})?"
)
_COUNTED = re.compile(
    f"a photo of (?P<count>{_either(tuple(COUNTS))}) (?P<name>{_either(tuple(_SINGULARS))})"
)


@cache
def parse(text: str) -> Asked:
    """Return what a prompt asks for.

    Raises ValueError with the reason for a prompt that GenEval could not have generated.
    """
    if counted := _COUNTED.fullmatch(text):
        return Asked((WantedObject(_SINGULARS[counted["name"]]),), number=COUNTS[counted["count"]])
    if not (match := _THINGS.fullmatch(text)):
        raise ValueError(f"not a prompt of GenEval's patterns: {text!r}")
    between = match["between"]
    things = tuple(_wanted(match, which) for which in ((1, 2) if between else (1,)))
    if wrong := _wrong(things, between):
        raise ValueError(f"{wrong}: {text!r}")
    return Asked(things, relation="" if between in (None, "and") else between)


def _wanted(match: re.Match[str], which: int) -> WantedObject:
    name, colour = match[f"name{which}"], match[f"colour{which}"] or ""
    words = f"{colour} {name}" if colour else name
    written = f"{match[f'article{which}']} {words}"
    if written != add_article(words):
        raise ValueError(f"GenEval writes {add_article(words)!r}, not {written!r}: {match[0]!r}")
    return WantedObject(name, colour)


def _wrong(things: tuple[WantedObject, ...], between: str | None) -> str:
    """Return why GenEval could not have generated such a prompt; an empty string if it could."""
    coloured = [thing for thing in things if thing.colour]
    if any(thing.name == "person" for thing in coloured):
        return "GenEval asks for no colour of persons"
    if len({thing.name for thing in things}) < len(things):
        return "GenEval asks for two different objects, since it cannot tell two of a kind apart"
    if coloured and between not in (None, "and"):
        return "GenEval asks for a colour or for a position, not for both"
    if coloured and len({thing.colour for thing in things}) < len(things):
        return "GenEval asks for two different colours"
    if coloured and len(coloured) < len(things):
        return "GenEval asks for the colour of both objects or of none"
    return ""


FOUND, COUNTED = 0.3, 0.4
"""Scores that a box must exceed. GenEval uses 0.3 and 0.9 for Mask2Former; OWLv2 gives plain
objects about 0.6."""
OVERLAP = 0.5
"""Boxes of one object with a larger intersection over union are one. Mask2Former needs no such
rule."""
MOST = 16
"""Boxes of one object that are kept."""
MARGIN = 0.1
"""Share of both objects' extents by which their centres must be apart for a position to count."""
_SLANT = 0.5
"""Share of the distance that must lie along an axis: 60 degrees to either side."""
_NOTHING = 1e-3


class DetectedBox(NamedTuple):
    """A detected object in pixels of its image."""

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


Objects = Mapping[str, Sequence[DetectedBox]]
"""Object → its boxes, by falling score."""


def compute_overlap(first: DetectedBox, second: DetectedBox) -> float:
    """Return intersection over union."""
    width = min(first.right, second.right) - max(first.left, second.left)
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    shared = max(width, 0) * max(height, 0)
    union = first.area + second.area - shared
    return shared / union if union else 0.0


def remove_duplicates(boxes: Sequence[DetectedBox]) -> list[DetectedBox]:
    """Return the boxes of one object by falling score, without those that a better one covers."""
    kept: list[DetectedBox] = []
    for box in sorted(boxes, key=lambda box: box.score, reverse=True)[:MOST]:
        if all(compute_overlap(box, other) <= OVERLAP for other in kept):
            kept.append(box)
    return kept


def find_positions(first: DetectedBox, second: DetectedBox) -> set[str]:
    """Return the position of the first box relative to the second; empty if too close."""
    offset = first.centre - second.centre
    clear = np.maximum(np.abs(offset) - MARGIN * (first.extent + second.extent), 0) * np.sign(
        offset
    )
    if (np.abs(clear) < _NOTHING).all():
        return set()
    right, down = clear / np.linalg.norm(offset)
    shares = {"left of": -right, "right of": right, "above": -down, "below": down}
    return {relation for relation, share in shares.items() if share > _SLANT}


def shows(asked: Asked, objects: Objects, find_colour: Callable[[str, DetectedBox], str]) -> bool:
    """Return whether all that is asked for is there; colours are classified only if needed."""
    if asked.number:
        boxes = objects.get(asked.objects[0].name, ())
        return sum(box.score > COUNTED for box in boxes) == asked.number
    found = [objects.get(thing.name, ()) for thing in asked.objects]
    if not all(found):
        return False
    surest = [boxes[0] for boxes in found]
    if asked.relation and asked.relation not in find_positions(*surest):
        return False
    pairs = zip(asked.objects, surest, strict=True)
    return all(find_colour(thing.name, box) == thing.colour for thing, box in pairs if thing.colour)
