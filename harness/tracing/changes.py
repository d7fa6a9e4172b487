"""What changed from one trace to another, as records."""

from typing import Literal

from harness.core.base import Frozen
from harness.core.trace import Family

Turn = Literal["came", "went", "slower", "faster", "more often", "less often"]
"""Slower or faster: one run of the kernel takes another time; more or less often: that is not most of the change."""


class StageChange(Frozen):
    """One call of a stage before and after (BETWEEN: all of it); `idle` is when the device had nothing to do."""

    stage: str
    before_s: float
    after_s: float
    before_idle_s: float
    after_idle_s: float


class FamilyChange(Frozen):
    """The kernels of one family in one call of the denoiser, before and after."""

    family: Family
    before_s: float
    after_s: float


class KernelChange(Frozen):
    """A kernel in one call of a stage; where it came or went, the other side has no calls and no time."""

    turn: Turn
    name: str
    family: Family
    stage: str
    before_calls: float
    after_calls: float
    before_s: float
    after_s: float

    @property
    def change_s(self) -> float:
        return self.after_s - self.before_s


class TraceDiff(Frozen):
    """What changed from one trace to another; `kernels` are those whose change is at least 1 % of their stage."""

    stages: tuple[StageChange, ...]
    families: tuple[FamilyChange, ...]
    kernels: tuple[KernelChange, ...]
    sentences: tuple[str, ...]
