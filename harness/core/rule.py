"""A rule: one limit that a cell must meet to ship."""

import math
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from harness.core.axis import Cell, Scalar
from harness.core.base import Frozen

Quantity = Literal[
    "loss", "change", "score", "worst-decile", "broken-share", "speedup", "throughput", "latency-s",
    "peak-memory-gib", "cold-start-s", "energy-j", "image-cost", "timing-precision",
    "throttled-share", "traced-steps", "human-preference",
]  # fmt: skip
Severity = Literal["error", "warning"]
Correction = Literal["holm", "none"]
Limit = Literal["margin", "at_least", "at_most", "target"]

OF_A_METRIC: frozenset[Quantity] = frozenset({"loss", "change", "score", "worst-decile"})
REVIEWED: frozenset[Quantity] = frozenset({"human-preference"})
"""Quantities that people answer in a human review."""
OF_IMAGES: frozenset[Quantity] = OF_A_METRIC | REVIEWED | {"broken-share"}
"""Quantities that need evaluated images; the others are measured by the run itself."""
ESTIMATED: frozenset[Quantity] = frozenset({"loss", "change", "score"})
"""Quantities whose interval is estimated from prompts; with too few prompts none of them passes."""
RELATIVE: frozenset[Quantity] = frozenset({"loss", "change"})
"""Quantities that compare a metric with the baseline's."""
SHARES: frozenset[Quantity] = REVIEWED | {
    "loss", "change", "broken-share", "timing-precision", "throttled-share",
}  # fmt: skip
"""Quantities that are shown in percent."""
RARE = 0.05

ABOUT: dict[Quantity, str] = {
    "loss": "calibrated loss: 0 is a rerun of the baseline, 1 is destroyed; must stay below the "
    "margin",
    "change": "relative change of the raw score against the baseline's, positive is worse; a "
    "margin limits both signs",
    "score": "the cell's score against fixed values: at_least, at_most, or target ± margin",
    "worst-decile": "mean of the worst tenth of a metric's images; a plain number, without an "
    "interval",
    "broken-share": "share of black, constant or off-prompt images, with its exact "
    "(Clopper–Pearson) bound",
    "speedup": "baseline seconds per image ÷ the cell's, from the same measurement rounds",
    "throughput": "images per second at the median latency",
    "latency-s": "median seconds of one pipeline call",
    "peak-memory-gib": "peak memory in GiB; one measurement, without an interval",
    "cold-start-s": "seconds to the first image of a fresh process; one measurement, without an "
    "interval",
    "energy-j": "joules of one image, of the GPU or the processors; one measurement, without an "
    "interval",
    "image-cost": "cost of one image by the [prices] of the matrix, at the median latency",
    "timing-precision": "half-width of the speedup's 95 % interval ÷ the speedup; above at_most "
    "is inconclusive",
    "throttled-share": "share of blocks, including the baseline's, in which heat or power supply "
    "slowed the device",
    "traced-steps": "steps in the cell's trace; missing for a cell that was never profiled",
    "human-preference": "share of answers of a human review (`harness review`) that prefer the "
    "cell's image to the baseline's or see no difference",
}
_ENDS: tuple[frozenset[Limit], ...] = (
    frozenset({"at_most"}), frozenset({"at_least"}), frozenset({"at_least", "at_most"}),
)  # fmt: skip
_ALLOWED: dict[Quantity, tuple[frozenset[Limit], ...]] = {
    "loss": (frozenset({"margin"}),),
    "change": (frozenset({"margin"}), *_ENDS),
    "score": (frozenset({"target", "margin"}), *_ENDS),
    "worst-decile": _ENDS,
    "broken-share": (frozenset({"at_most"}),),
    "speedup": (frozenset({"at_least"}),),
    "throughput": (frozenset({"at_least"}),),
    "latency-s": (frozenset({"at_most"}),),
    "peak-memory-gib": (frozenset({"at_most"}),),
    "cold-start-s": (frozenset({"at_most"}),),
    "energy-j": (frozenset({"at_most"}),),
    "image-cost": (frozenset({"at_most"}),),
    "timing-precision": (frozenset({"at_most"}),),
    "throttled-share": (frozenset({"at_most"}),),
    "traced-steps": (frozenset({"at_least"}),),
    "human-preference": (frozenset({"at_least"}),),
}  # fmt: skip


def _check_where(value: Any) -> Any:
    globs = [value] if isinstance(value, str) else value
    if (
        isinstance(globs, dict)
        and globs
        and all(isinstance(v, bool | int | float | str) for v in globs.values())
    ):
        return value
    if isinstance(globs, list | tuple) and all(isinstance(glob, str) and glob for glob in globs):
        return value
    raise ValueError(
        "a glob on cell ids such as '*bf16*', a list of them, or axis = value such as "
        "{precision = 'bf16'}"
    )


Where = Annotated[str | tuple[str, ...] | dict[str, Scalar], BeforeValidator(_check_where)]
Figure = Annotated[float, Field(allow_inf_nan=False)]


class Rule(Frozen):
    """One limit: a quantity must lie below, above or inside it, with confidence `level`.

    `metric` is a metric's name, or its name without profile for every profile that was scored;
    default: all metrics that gate by default. `where` selects cells (default: all). A warning is
    shown and never changes the exit code.
    """

    quantity: Quantity = "loss"
    metric: str = ""
    margin: Annotated[float, Field(gt=0, lt=1)] | None = None
    at_least: Figure | None = None
    at_most: Figure | None = None
    target: Figure | None = None
    level: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    where: Where = ()
    severity: Severity = "error"

    @model_validator(mode="after")
    def _is_sound(self) -> "Rule":
        if problems := self._problems():
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> list[str]:
        given = {
            key
            for key in ("margin", "at_least", "at_most", "target")
            if getattr(self, key) is not None
        }
        allowed = _ALLOWED[self.quantity]
        problems = []
        if given not in allowed:
            ways = " or ".join(" with ".join(sorted(way, reverse=True)) for way in allowed)
            found = " with ".join(sorted(given)) or "none"
            problems.append(f"a limit on {self.quantity} is given by {ways}, got {found}")
        if self.at_least is not None and self.at_most is not None and self.at_least >= self.at_most:
            problems.append("at_least must be smaller than at_most")
        if self.target == 0:
            problems.append("a target of 0 has no relative margin: give at_least and at_most")
        if (
            self.quantity in ("timing-precision", "throttled-share")
            and self.at_most is not None
            and self.at_most >= 1
        ):
            problems.append(f"{self.quantity} is a share: 0.02 means 2 %, got {self.at_most:g}")
        if (
            self.quantity == "broken-share"
            and self.at_most is not None
            and not 0 < self.at_most < 1
        ):
            problems.append("a share must lie between 0 and 1; no number of images can prove 0")
        if self.quantity in REVIEWED and self.at_least is not None and not 0 < self.at_least < 1:
            problems.append(f"{self.quantity} is a share: 0.45 means 45 %, got {self.at_least:g}")
        if self.metric and self.quantity not in OF_A_METRIC:
            problems.append(f"{self.quantity} has no metric: remove `metric`")
        if not self.metric and self.quantity in ("score", "worst-decile"):
            problems.append(f"name the metric of {self.quantity}: metric = …")
        return problems

    @property
    def alpha(self) -> float:
        """The error rate this rule accepts."""
        return 1 - self.level

    @property
    def least_damage(self) -> float:
        """The smallest share of destroyed prompts to detect: the margin, or 5 % if the limit is not
        a share."""
        return self.margin or RARE

    @property
    def window(self) -> tuple[float, float]:
        """Return the ends the quantity must lie between; infinite where there is no limit."""
        if self.target is not None and self.margin is not None:
            tolerated = abs(self.target) * self.margin
            return self.target - tolerated, self.target + tolerated
        if self.margin is not None:
            return (-self.margin if self.quantity == "change" else -math.inf), self.margin
        low = -math.inf if self.at_least is None else self.at_least
        return low, math.inf if self.at_most is None else self.at_most

    def fits(self, cell: Cell) -> bool:
        """Return whether this rule applies to a cell."""
        if isinstance(self.where, dict):
            return cell.fits(self.where)
        globs = (self.where,) if isinstance(self.where, str) else self.where
        return not globs or any(fnmatchcase(cell.id, glob) for glob in globs)

    def names(self, metric: str) -> bool:
        """Return whether `metric` of this rule means a metric such as `fid:mlperf`: by its name, or
        without profile."""
        return self.metric in (metric, metric.partition(":")[0])
