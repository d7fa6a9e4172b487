"""Image sizes that a model supports, and the stages of a cascade: written, run, timed."""

import itertools
import math
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from harness.core.effect import CallCounter
from harness.core.errors import NoEffect
from harness.core.model import Call, ModelInfo, TextToImage
from harness.core.outcome import Caution, Figures, Shown
from harness.core.trace import region

Size = tuple[int, int]

FAR = 1.5
"""Beyond this multiple of its trained side, a UNet repeats its subject (He et al. 2023)."""


def refuse_size(size: Size, model: ModelInfo) -> str | None:
    """Return why the model cannot draw images of (width, height) pixels, or None."""
    if all(side % model.size_multiple == 0 for side in size):
        return None
    return f"both sides must be multiples of {model.size_multiple} for the {model.title}"


def warn_of_size(size: Size, model: ModelInfo) -> tuple[Caution, ...]:
    """Return a warning for a size far from the model's training size."""
    if "unet" not in model.tags:
        return ()
    larger = max(size[0] / model.width, size[1] / model.height)
    smaller = max(model.width / size[0], model.height / size[1])
    if max(larger, smaller) <= FAR:
        return ()
    message, trained = f"{size[0]}x{size[1]} is far from", f"{model.width}x{model.height}"
    message += f" {trained}, the training size of the {model.title}: "
    message += "subjects repeat" if larger > smaller else "images are cropped or abstract"
    advice = "Expect a loss of quality."
    if larger > smaller:
        advice = "Use progressive, which starts at the training size."
    return (Caution(kind="unusual-size", message=message, advice=advice),)


class Stage(NamedTuple):
    """One image of a cascade: from noise at strength 1, else redrawn from the enlarged previous."""

    width: int
    height: int
    steps: int
    strength: float

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def size(self) -> Size:
        return self.width, self.height

    @property
    def calling_steps(self) -> int:
        """Return the steps to ask for: warm-up has one step, and one call must be made."""
        return self.steps if self.strength == 1 else max(self.steps, math.ceil(1 / self.strength))

    @property
    def calls(self) -> int:
        """Return the steps really made, as diffusers' image-to-image pipelines count them."""
        return int(min(self.steps * self.strength, self.steps))


def read_sizes(text: str) -> list[Size]:
    """Return the sizes of `256-512-1024` or `512x256-1024x512`.

    Raises ValueError for fewer than two sizes, or sizes that do not grow.
    """
    found = [re.fullmatch(r"(\d+)(?:[xX×](\d+))?", word) for word in text.split("-")]
    sizes = [(int(match[1]), int(match[2] or match[1])) for match in found if match]
    if len(sizes) != len(found) or len(sizes) < 2:
        example = "progressive+stages=256-512-1024"
        raise ValueError(f'stages = "{text}": name at least two sizes, such as {example}')
    for small, large in itertools.pairwise(sizes):
        if small == large or small[0] > large[0] or small[1] > large[1]:
            raise ValueError(f'stages = "{text}": every stage must be larger than the previous')
    return sizes


def read_numbers(name: str, text: str, count: int) -> list[float]:
    """Return `count` numbers of `0.6-0.5`; a single number is used for all.

    Raises ValueError for another count or numbers out of range.
    """
    try:
        numbers = [float(word) for word in text.split("-")]
    except ValueError as error:
        raise ValueError(f'{name} = "{text}": expected numbers, such as 0.5 or 0.6-0.4') from error
    if len(numbers) not in (1, count):
        later = f"{count} stages follow the first"
        raise ValueError(f'{name} = "{text}": {later}, but {len(numbers)} numbers are given')
    whole = name != "strengths"
    most = 1000.0 if whole else 1.0
    if not all(0 < number <= most and (number.is_integer() or not whole) for number in numbers):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f'{name} = "{text}": must be {kind} above 0, at most {most:g}')
    return numbers * (count if len(numbers) == 1 else 1)


class Cascade(CallCounter):
    """Runs the stages of each call; reports the seconds and denoiser calls of each stage."""

    def __init__(self, plan: Callable[[int], tuple[Stage, ...]]) -> None:
        super().__init__()
        self.plan = plan
        self.took: dict[str, tuple[float, int]] = {}

    def start(self, model: TextToImage) -> None:
        super().start(model)
        self.took = {}

    def draw(self, model: TextToImage, call: Call) -> Any:
        """Return the images of the last stage.

        A wall clock is exact enough: images are copied to the CPU after each stage.
        """
        images: Any = None
        for stage in self.plan(call.steps):
            begin, before = time.perf_counter(), self.counts.get("denoiser", 0)
            with region(f"cascade stage {stage}"):
                images = self._draw_stage(model, call, stage, images)
            seconds, calls = self.took.get(str(stage), (0.0, 0))
            seconds += time.perf_counter() - begin
            self.took[str(stage)] = (seconds, calls + self.counts.get("denoiser", 0) - before)
        return images

    def _draw_stage(self, model: TextToImage, call: Call, stage: Stage, images: Any) -> Any:
        size = {"width": stage.width, "height": stage.height}
        if images is None:
            return model.text_to_image(call.model_copy(update=size))
        later = call.model_copy(update={**size, "steps": stage.calling_steps})
        return model.image_to_image(later, images, stage.strength)

    def report(self, model: TextToImage, calls: int) -> Shown:
        idle = next((stage for stage, (_, made) in self.took.items() if made == 0), None)
        if idle or len(self.took) < 2:
            what = f"no denoiser call was made in stage {idle}"
            raise NoEffect(what, "resolution progressive", "Raise its steps.")
        figures: Figures = {}
        parts = []
        for stage, (seconds, made) in self.took.items():
            parts.append(f"{stage}: {made / calls:g} denoiser calls")
            figures |= {f"{stage}_s": seconds / calls, f"{stage}_denoiser_calls": made / calls}
        parts = [
            f"{name}: {made / calls:g} denoiser calls" for name, (_, made) in self.took.items()
        ]
        return Shown(summary=", ".join(parts), figures=figures)
