"""Draw the stages of a cascade and time each of them."""

import math
import time
from collections.abc import Callable
from typing import Any

from harness.axes.resolution._stages import Stage
from harness.core.effect import CallCounter
from harness.core.errors import NoEffect
from harness.core.model import Call, TextToImage
from harness.core.outcome import Shown
from harness.core.trace import region


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
