"""The largest batch that fits into memory, found by trial on the finished pipeline."""

import gc
from collections.abc import Callable
from typing import Annotated, ClassVar

import psutil
from pydantic import Field

from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect, FixedEffect
from harness.core.errors import MachineError
from harness.core.model import Call, TextToImage
from harness.core.outcome import Figures
from harness.core.recipe import NoRecipe, RecipeContext, RecipeLines
from harness.core.units import Absent, format_percent
from harness.process_memory import is_out_of_memory, read_resident_peak, reset_resident_peak

WHERE = "batch largest"


class Largest(AxisValue):
    """Double the batch until it does not fit, then bisect; stop at `limit`.

    A GPU reports that it is out of memory. On a CPU the process would be killed: there a batch fits
    if its peak, extrapolated from smaller ones, stays below `share` of the free memory.
    """

    summary: ClassVar[str] = "the largest that fits into memory, by trial; limit, share"
    tags: ClassVar = frozenset({"tries-batches"})
    conflicts: ClassVar = frozenset({"no-torch"})
    tolerance: ClassVar = 1e-4
    examples: ClassVar = ("largest+limit=3",)

    limit: Annotated[int, Field(ge=1, le=4096)] = 64
    share: Annotated[float, Field(gt=0, le=1)] = 0.8

    def refuse(self, context: Context) -> str | None:
        if any(value.lazy for value in context.values.values()):
            return "compiling each batch size takes most of a minute: name a number of images"
        return None

    def call_options(self) -> dict[str, int]:
        return {"batch": 1}

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        kind = CpuTrial if model.device == "cpu" else GpuTrial
        trial = kind(model, setup.call, self.share)
        found = search_largest(trial.fits, self.limit)
        if not found:
            fix = "Use a smaller resolution or precision, or another machine."
            raise MachineError("not even one image fits into memory", WHERE, fix)
        why = f"{found + 1} do not fit ({trial.reason})"
        if found == self.limit:
            why = f"the limit of {self.limit}"
        peak = trial.peaks.get(found, 0)
        figures: Figures = {"images": found, "trials": trial.count, "peak_bytes": peak}
        effect = FixedEffect(f"{found} images per call: {why}", figures)
        effect.batch = found
        return effect

    def recipe(self, context: RecipeContext) -> RecipeLines | NoRecipe:
        found = context.applied.get("batch", {}).get("images")
        if found is None:
            reason = "the largest batch is found by trial, and this cell recorded none"
            return NoRecipe(reason=reason, hint="name a number of images")
        return RecipeLines(batch=int(found))


def search_largest(fits: Callable[[int], bool], limit: int) -> int:
    """Return the largest number up to `limit` that fits, or 0; smaller numbers fit too.

    Doubles until a number does not fit, then bisects.
    """
    good, bad = 0, limit + 1
    trial = 1
    while trial < bad:
        if fits(trial):
            good, trial = trial, min(2 * trial, limit) if trial < limit else limit + 1
        else:
            bad = trial
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


class GpuTrial:
    """A batch fits if the GPU does not run out of memory; `peaks` are bytes by batch size."""

    def __init__(self, model: TextToImage, call: Call, share: float) -> None:
        self.model, self.call = model, call
        self.peaks: dict[int, int] = {}
        self.count, self.reason = 0, "out of memory"

    def fits(self, images: int) -> bool:
        """Return whether one step of this many images runs."""
        import torch

        self.count += 1
        torch.cuda.reset_peak_memory_stats()
        try:
            self.run_step(images)
        except Exception as error:  # each library has another type for it
            if not is_out_of_memory(error):
                raise
            fits = False
        else:
            self.peaks[images] = torch.cuda.max_memory_allocated()
            fits = True
        gc.collect()  # the error's traceback holds tensors in cycles
        torch.cuda.empty_cache()
        return fits

    def run_step(self, images: int) -> None:
        """Run one denoising step: every step needs the same memory."""
        prompts = len(self.call.prompts)
        call = self.call.of(place % prompts for place in range(images))
        self.model.generate(call.model_copy(update={"steps": 1}))


class CpuTrial(GpuTrial):
    """A batch fits if its peak, extrapolated from smaller batches, leaves memory to others."""

    def __init__(self, model: TextToImage, call: Call, share: float) -> None:
        super().__init__(model, call, share)
        self.run_step(1)  # the first call sets up what every batch needs
        self.idle = require_known(reset_resident_peak())
        self.budget = int(share * _read_free_bytes())
        self.reason = f"{format_percent(share, 0)} of the free memory"

    def fits(self, images: int) -> bool:
        """Return whether the batch is expected to fit; if so, run one step and note its peak."""
        if self._estimate_peak(images) > self.idle + self.budget:
            return False
        self.count += 1
        reset_resident_peak()
        self.run_step(images)
        self.peaks[images] = require_known(read_resident_peak())
        return self.peaks[images] <= self.idle + self.budget

    def _estimate_peak(self, images: int) -> float:
        """Return the expected peak: activations grow with the batch, weights do not."""
        if not self.peaks:
            return 0.0
        each = max((peak - self.idle) / size for size, peak in self.peaks.items())
        return self.idle + each * images


def _read_free_bytes() -> int:
    return int(psutil.virtual_memory().available)


def require_known(peak: int | Absent) -> int:
    """Return a peak of memory; MachineError if this system does not report any."""
    if isinstance(peak, Absent):
        what = f"the peak memory of a process is unknown: {peak.absent}"
        raise MachineError(what, WHERE, "Name a number of images.")
    return peak
