"""The stages of a cascade, and how they are written in a matrix."""

import itertools
import re
from typing import NamedTuple


class Stage(NamedTuple):
    """One picture of a cascade: drawn from noise at strength 1, else redrawn from the enlarged one before."""

    width: int
    height: int
    steps: int
    strength: float

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    @property
    def calls(self) -> int:
        """Steps that are really made, as diffusers' image-to-image pipelines count them."""
        return int(min(self.steps * self.strength, self.steps))


def read_sizes(words: str) -> list[tuple[int, int]]:
    """Return the sizes of `256-512-1024` or `512x256-1024x512`; ValueError unless they are two or more that grow."""
    found = [re.fullmatch(r"(\d+)(?:[xX×](\d+))?", word) for word in words.split("-")]
    sizes = [(int(match[1]), int(match[2] or match[1])) for match in found if match]
    if len(sizes) != len(found) or len(sizes) < 2:
        raise ValueError(f'stages = "{words}": name two sizes or more, such as progressive+stages=256-512-1024')
    pairs = itertools.pairwise(sizes)
    if not all(small != large and small[0] <= large[0] and small[1] <= large[1] for small, large in pairs):
        raise ValueError(f'stages = "{words}": every stage must be larger than the one before')
    return sizes


def read_numbers(name: str, words: str, count: int) -> list[float]:
    """Return `count` numbers of `0.6-0.5`; one stands for all. ValueError if they are too many or out of range."""
    try:
        numbers = [float(word) for word in words.split("-")]
    except ValueError as error:
        raise ValueError(f'{name} = "{words}": not numbers, such as 0.5 or 0.6-0.4') from error
    if len(numbers) not in (1, count):
        raise ValueError(f'{name} = "{words}": {count} stages come after the first, these are {len(numbers)} numbers')
    most = 1.0 if name == "strengths" else 1000.0
    if not all(0 < number <= most and (name == "strengths" or number.is_integer()) for number in numbers):
        raise ValueError(f'{name} = "{words}": must lie between 0 and {most:g}{"" if most == 1 else ", whole"}')
    return numbers * (count if len(numbers) == 1 else 1)
