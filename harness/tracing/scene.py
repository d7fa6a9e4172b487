"""A traced cell as the rules of advice see it: the trace's facts, what was timed without a profiler, the settings."""

from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import NamedTuple

from harness.core.cell import Cell
from harness.core.model import ModelInfo
from harness.core.outcome import Completed
from harness.core.trace import BETWEEN, Family, StageTime, TraceFacts

DENOISER = "denoiser"
_FEW_OPERATORS = 20
"""Operators a call below which a denoiser on a CPU does not run in torch: an exported engine shows none."""
_GRAPH = 5
"""Kernels a launch above which they are replayed as CUDA graphs."""


_MANY = 50
"""Launches in a call of the denoiser from which pauses between kernels are put down to launching them."""


def _anything(axis: str, value: str) -> bool:
    return True


class Scene(NamedTuple):
    """What is known of a traced cell. Seconds are those timed without the profiler where there are any.

    `fits` says of an axis and a value whether the cell could have it, its other settings as they are.
    """

    facts: TraceFacts
    outcome: Completed
    cell: Cell
    model: ModelInfo
    fits: Callable[[str, str], bool] = _anything

    @property
    def denoiser(self) -> StageTime | None:
        return next((stage for stage in self.facts.stages if stage.stage == DENOISER and stage.calls), None)

    @property
    def gpu(self) -> bool:
        return self.facts.device == "cuda"

    @property
    def device(self) -> str:
        return "the GPU" if self.gpu else "the processor"

    @property
    def denoiser_bytes(self) -> int | None:
        """Return the size of the denoiser's weights, which lie under its name in the pipeline; None if unknown."""
        sizes = self.outcome.weights_bytes
        return next((sizes[name] for name in ("unet", "transformer", DENOISER) if sizes.get(name)), None)

    def setting(self, axis: str) -> str:
        """Return what the cell is set to, options included; empty for an axis it does not name."""
        return self.cell.by_axis.get(axis, "")

    def others(self, axis: str, values: Iterable[str]) -> tuple[str, ...]:
        """Return those values that are not on, whatever the options: what may be tried."""
        on = self.setting(axis).split("+")[0]
        return tuple(value for value in values if value.split("+")[0] != on)

    def stage_s(self, stage: str) -> float:
        """Return the seconds of one stage in a whole call: the median of the repeats, else as in the trace."""
        timed = [repeat.stages_s[stage] for repeat in self.outcome.repeats if stage in repeat.stages_s]
        if timed:
            return median(timed)
        traced = next((found for found in self.facts.stages if found.stage == stage), None)
        return traced.wall_s * self._times(traced) if traced else 0.0

    def _times(self, stage: StageTime) -> float:
        """How many times as often a whole call has the stage as the traced one, which may be of the first steps."""
        return self.outcome.denoiser_calls / stage.calls if stage.stage == DENOISER and stage.calls else 1.0

    @property
    def call_s(self) -> float:
        """Return the seconds of a whole call: the median of the repeats, else the stages' sum."""
        if self.outcome.repeats:
            return median(repeat.latency_s for repeat in self.outcome.repeats)
        return sum(self.stage_s(stage.stage) for stage in self.facts.stages)

    def share(self, stage: str) -> float:
        """Return the share of a whole call that a stage takes, 0 to 1; BETWEEN: what no stage takes."""
        if stage == BETWEEN:
            return max(1 - sum(self.share(found.stage) for found in self.facts.stages if found.stage != BETWEEN), 0.0)
        return min(self.stage_s(stage) / self.call_s, 1.0) if self.call_s else 0.0

    @property
    def denoiser_call_s(self) -> float:
        """Return the seconds of one call of the denoiser."""
        return self.stage_s(DENOISER) / self.outcome.denoiser_calls if self.outcome.denoiser_calls else 0.0

    @property
    def idle_share(self) -> float:
        """Return the share of the denoiser's time in which the device had nothing to do, 0 to 1."""
        return self._idle(self.denoiser) if self.denoiser else 0.0

    def _idle(self, stage: StageTime) -> float:
        """Return the share of a stage's time in which the device had nothing to do.

        A profiler slows down the host but not a GPU's kernels. So on a GPU their time is held against the stage timed
        without it; on a CPU both are slowed, and the trace's own share is taken.
        """
        traced, whole_s = stage.gap_s / stage.wall_s if stage.wall_s else 0.0, self.stage_s(stage.stage)
        if not self.gpu or stage.stage == BETWEEN or not whole_s:
            return traced
        return min(max(1 - stage.busy_s * self._times(stage) / whole_s, 0.0), traced)

    def working(self, lost_s: Mapping[str, float]) -> float:
        """Return the share of a whole call that work takes, given its seconds by stage in the trace."""
        return sum(
            self.share(stage.stage) * (1 - self._idle(stage)) * min(lost_s.get(stage.stage, 0.0) / stage.busy_s, 1.0)
            for stage in self.facts.stages
            if stage.busy_s
        )

    def waiting(self, lost_s: Mapping[str, float]) -> float:
        """Return the share of a whole call that pauses take, given their seconds by stage in the trace."""
        return sum(
            self.share(stage.stage) * self._idle(stage) * min(lost_s.get(stage.stage, 0.0) / stage.gap_s, 1.0)
            for stage in self.facts.stages
            if stage.gap_s
        )

    def family_share(self, *families: Family) -> float:
        """Return the share of the denoiser's time that kernels of these families take, 0 to 1."""
        stage = self.denoiser
        if stage is None or not stage.busy_s:
            return 0.0
        return (1 - self.idle_share) * sum(stage.families_s.get(name, 0.0) for name in families) / stage.busy_s

    @property
    def graphs(self) -> bool:
        """Whether the denoiser's kernels are replayed as CUDA graphs, or launched by an engine in few calls."""
        stage = self.denoiser
        return stage is not None and stage.kernels > _GRAPH * max(stage.launches, 1)

    @property
    def launching(self) -> bool:
        """Whether the denoiser's kernels are so many, launched one by one, that launching explains pauses."""
        stage = self.denoiser
        return stage is not None and self.gpu and not self.graphs and stage.launches >= _MANY * stage.calls

    @property
    def opaque(self) -> bool:
        """Whether the denoiser runs outside of torch, where a trace of the CPU sees nothing."""
        stage = self.denoiser
        return not self.gpu and stage is not None and stage.kernels < _FEW_OPERATORS * stage.calls
