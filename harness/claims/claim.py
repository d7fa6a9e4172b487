"""A published claim as data: who said what a setting buys, on which machine, with which model."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.core.axis import Scalar
from harness.core.base import Frozen

Quantity = Literal[
    "speedup", "latency-s", "step-latency-s", "model-memory-gib", "denoiser-memory-ratio", "peak-memory-gib",
    "peak-memory-ratio", "encoder-calls", "score",
]  # fmt: skip
OF_A_PAIR: frozenset[Quantity] = frozenset({"speedup", "denoiser-memory-ratio", "peak-memory-ratio"})
"""Quantities that compare a candidate with a baseline; the others are of the candidate alone."""

ABOUT: dict[Quantity, str] = {
    "speedup": "seconds per image of the baseline ÷ of the candidate",
    "latency-s": "seconds of one call of the whole pipeline, the median",
    "step-latency-s": "seconds of one denoiser call: the median of each timed call's median",
    "model-memory-gib": "GiB of all weights as they are held; one measurement, without an interval",
    "denoiser-memory-ratio": "bytes of the denoiser's weights, candidate ÷ baseline; without an interval",
    "peak-memory-gib": "peak memory in GiB; one measurement, without an interval",
    "peak-memory-ratio": "peak memory, candidate ÷ baseline; without an interval",
    "encoder-calls": "calls of the text encoders that were left in one call of the pipeline, as its cache counted them",
    "score": "a metric's score, such as fid:mlperf, with its interval",
}
TOLERANCE = 0.1

Figure = Annotated[float, Field(allow_inf_nan=False)]
Glob = Annotated[str, Field(min_length=1)]


class Source(Frozen):
    """Where a claim was published; without a `url` it is hearsay, and its title says so."""

    title: Annotated[str, Field(min_length=1)]
    url: Annotated[str, Field(pattern=r"^(https://\S+)?$")] = ""
    date: Annotated[str, Field(pattern=r"^(\d{4}(-\d\d){0,2})?$", description="2024-09-08, 2024-09 or 2024")] = ""


class Statement(Frozen):
    """What a ledger file says of one claim; every claim of the file has the file's source.

    The figure is `value` ± `tolerance` (a share of it, 10 % if left out), or a range: at_least, at_most, or both.
    `gpu` and `model` are globs that ignore case (left out: any machine, any model; `["*"]`: any GPU). Settings are
    spelled as in a matrix, or as globs: `candidate` and `baseline` make the pair, which is otherwise alike;
    `settings` hold for both cells. Techniques that none of them names (caching, distillation, a compiler …) were not
    in use; `"*"` leaves an axis open.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    what: Annotated[str, Field(min_length=1)]
    quantity: Quantity
    value: Figure | None = None
    tolerance: Annotated[float, Field(ge=0, lt=1)] | None = None
    at_least: Figure | None = None
    at_most: Figure | None = None
    metric: str = ""
    images: Annotated[int, Field(ge=0, description="scores: images it was computed from; 0: any number")] = 0
    gpu: tuple[Glob, ...] = ()
    model: tuple[Glob, ...] = ()
    settings: dict[str, Scalar] = {}
    candidate: dict[str, Scalar] = {}
    baseline: dict[str, Scalar] = {}
    note: str = ""

    @model_validator(mode="after")
    def _is_sound(self) -> "Statement":
        if problems := [*self._figure_problems(), *self._setting_problems()]:
            raise ValueError("; ".join(problems))
        return self

    def _figure_problems(self) -> list[str]:
        problems = []
        ends = [end for end in (self.at_least, self.at_most) if end is not None]
        if (self.value is None) == (not ends):
            problems.append("give the figure as value, or as a range: at_least, at_most or both")
        if self.tolerance is not None and self.value is None:
            problems.append("tolerance is of value; a range has its own ends")
        if len(ends) == 2 and ends[0] >= ends[1]:
            problems.append("at_least must be smaller than at_most")
        if bool(self.metric) != (self.quantity == "score"):
            problems.append("metric names the metric of a score, and of nothing else")
        if self.images and self.quantity != "score":
            problems.append("images belongs to a score")
        return problems

    def _setting_problems(self) -> list[str]:
        if self.quantity in OF_A_PAIR and not (self.candidate and self.baseline):
            return [f"{self.quantity} compares two cells: name what differs in candidate and in baseline"]
        if self.quantity not in OF_A_PAIR and self.baseline:
            return [f"{self.quantity} is of one cell: leave baseline out"]
        if twice := [axis for axis in self.settings if axis in self.candidate or axis in self.baseline]:
            return [f"{', '.join(twice)}: in settings, which hold for both cells, and in candidate or baseline"]
        return []

    @property
    def window(self) -> tuple[float, float]:
        """Return the ends of what was claimed; infinite where there is none."""
        if self.value is not None:
            reach = abs(self.value) * (TOLERANCE if self.tolerance is None else self.tolerance)
            return self.value - reach, self.value + reach
        low = -math.inf if self.at_least is None else self.at_least
        return low, math.inf if self.at_most is None else self.at_most


class Claim(Statement):
    """A claim with its source."""

    source: Source


class LedgerFile(Frozen):
    """A file of claims from one source."""

    source: Source
    claim: tuple[Statement, ...]
