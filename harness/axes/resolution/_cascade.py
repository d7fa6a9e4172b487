"""Stages of a cascade: how they are written, run and timed; image sizes a model supports."""

import itertools
import math
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from harness.core.effect import CallCounter
from harness.core.errors import NoEffect
from harness.core.model import Call, ModelInfo, TextToImage
from harness.core.outcome import Caution, Shown
from harness.core.region import region

Size = tuple[int, int]

FAR = 1.5
"""Beyond this many times its own side a UNet begins to repeat its subject (ScaleCrafter, He et al. 2023)."""


def refuse_size(size: Size, model: ModelInfo) -> str | None:
    """Return why the model cannot draw pictures of (width, height) pixels, or None if it can."""
    if all(side % model.size_multiple == 0 for side in size):
        return None
    return f"both sides must be multiples of {model.size_multiple} for the {model.title}"


def caution_size(size: Size, model: ModelInfo) -> tuple[Caution, ...]:
    """Return a warning for a size far from the one that the model was trained for."""
    if "unet" not in model.tags:
        return ()
    larger = max(size[0] / model.width, size[1] / model.height)
    smaller = max(model.width / size[0], model.height / size[1])
    if max(larger, smaller) <= FAR:
        return ()
    faults = "subjects repeat" if larger > smaller else "pictures are cropped or abstract"
    message = f"{size[0]}x{size[1]} is far from {model.width}x{model.height}, which the {model.title} was trained for"
    advice = "Use progressive: it composes at the trained size." if larger > smaller else "Expect a loss of quality."
    return (Caution(kind="unusual-size", message=f"{message}: {faults}", advice=advice),)


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


class Cascade(CallCounter):
    """Draws the stages of each call, and tells the seconds and denoiser calls of each."""

    def __init__(self, plan: Callable[[int], tuple[Stage, ...]]) -> None:
        super().__init__()
        self.plan = plan
        self.took: dict[str, tuple[float, int]] = {}

    def start(self, model: TextToImage) -> None:
        super().start(model)
        self.took = {}

    def draw(self, model: TextToImage, call: Call) -> Any:
        """Return the images of the last stage. Pictures come back to the CPU between stages, so a clock is enough."""
        images: Any = None
        for stage in self.plan(call.steps):
            begin, before = time.perf_counter(), self.counts.get("denoiser", 0)
            size = {"width": stage.width, "height": stage.height}
            with region(f"cascade stage {stage}"):
                if images is None:
                    images = model.text_to_image(call.model_copy(update=size))
                else:  # warm-up asks for one step: at least one call is made of it
                    of_stage = {**size, "steps": max(stage.steps, math.ceil(1 / stage.strength))}
                    images = model.image_to_image(call.model_copy(update=of_stage), images, stage.strength)
            self._add(str(stage), time.perf_counter() - begin, self.counts.get("denoiser", 0) - before)
        return images

    def _add(self, stage: str, seconds: float, calls: int) -> None:
        total = self.took.get(stage, (0.0, 0))
        self.took[stage] = (total[0] + seconds, total[1] + calls)

    def report(self, model: TextToImage, calls: int) -> Shown:
        silent = next((stage for stage, (_, made) in self.took.items() if made == 0), None)
        if silent or len(self.took) < 2:
            raise NoEffect(f"no denoiser call was made in stage {silent}", "resolution progressive", "Raise its steps.")
        figures: dict[str, float | int | str] = {}
        for stage, (seconds, made) in self.took.items():
            figures |= {f"{stage}_s": seconds / calls, f"{stage}_denoiser_calls": made / calls}
        words = [f"{stage}: {made / calls:g} denoiser calls" for stage, (_, made) in self.took.items()]
        return Shown(summary=", ".join(words), figures=figures)
