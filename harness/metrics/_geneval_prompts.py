"""The prompts of GenEval (Ghosh et al. 2023), read into what a picture must show.

GenEval makes its prompts from six patterns, the 80 object names of COCO and ten colours, so a prompt says all that is
checked. GenEval's own spelling counts: it writes `a photo of two toothbrushs`.
"""

import re
from functools import cache
from typing import NamedTuple

OBJECTS = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "computer mouse", "tv remote", "computer keyboard", "cell phone", "microwave", "oven", "toaster",
    "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
COUNTS = {"two": 2, "three": 3, "four": 4}
RELATIONS = ("left of", "right of", "above", "below")
_VOWELS = "aeiou"


class Wanted(NamedTuple):
    """One object of a prompt; `colour` is empty where the prompt names none."""

    name: str
    colour: str = ""


class Asked(NamedTuple):
    """All that a prompt asks for.

    `number` is set where the prompt names a number: exactly so many of the first object. `relation` is where the first
    object lies, seen from the second.
    """

    objects: tuple[Wanted, ...]
    number: int = 0
    relation: str = ""


def article(words: str) -> str:
    """Return words behind their article: `an apple`."""
    return f"an {words}" if words[0] in _VOWELS else f"a {words}"


def plural(name: str) -> str:
    """Return the plural of an object as GenEval writes it: `buses`, `benchs`."""
    return f"{name}es" if name.endswith("s") else f"{name}s"


_SINGULARS = {plural(name): name for name in OBJECTS}


def _either(words: tuple[str, ...]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


def _thing(which: int) -> str:
    """Return the pattern of an object with its article and perhaps a colour."""
    return f"(?P<article{which}>an?) (?:(?P<colour{which}>{_either(COLOURS)}) )?(?P<name{which}>{_either(OBJECTS)})"


_THINGS = re.compile(f"a photo of {_thing(1)}(?: (?P<between>and|{_either(RELATIONS)}) {_thing(2)})?")
_COUNTED = re.compile(f"a photo of (?P<count>{_either(tuple(COUNTS))}) (?P<name>{_either(tuple(_SINGULARS))})")


@cache
def parse(text: str) -> Asked:
    """Return what a prompt asks for; ValueError saying why for a prompt that GenEval could not have made."""
    if counted := _COUNTED.fullmatch(text):
        return Asked((Wanted(_SINGULARS[counted["name"]]),), number=COUNTS[counted["count"]])
    if not (match := _THINGS.fullmatch(text)):
        raise ValueError(f"not a prompt of GenEval's patterns: {text!r}")
    between = match["between"]
    things = tuple(_wanted(match, which) for which in ((1, 2) if between else (1,)))
    if wrong := _wrong(things, between):
        raise ValueError(f"{wrong}: {text!r}")
    return Asked(things, relation="" if between in (None, "and") else between)


def _wanted(match: re.Match[str], which: int) -> Wanted:
    name, colour = match[f"name{which}"], match[f"colour{which}"] or ""
    words = f"{colour} {name}" if colour else name
    written = f"{match[f'article{which}']} {words}"
    if written != article(words):
        raise ValueError(f"GenEval writes {article(words)!r}, not {written!r}: {match[0]!r}")
    return Wanted(name, colour)


def _wrong(things: tuple[Wanted, ...], between: str | None) -> str:
    """Return why GenEval could not have made such a prompt; an empty string if it could."""
    coloured = [thing for thing in things if thing.colour]
    if any(thing.name == "person" for thing in coloured):
        return "GenEval asks for no colour of a person"
    if len({thing.name for thing in things}) < len(things):
        return "GenEval asks for two different objects, since it cannot tell two of a kind apart"
    if coloured and between not in (None, "and"):
        return "GenEval asks for a colour or for a position, not for both"
    if coloured and len({thing.colour for thing in things}) < len(things):
        return "GenEval asks for two different colours"
    if coloured and len(coloured) < len(things):
        return "GenEval asks for the colour of both objects or of none"
    return ""
