"""A traced cell as the advice rules read it (trace facts, timings, settings), and its bound."""

from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Literal, NamedTuple

from harness.core.axis import Cell
from harness.core.base import Frozen
from harness.core.model import ModelInfo
from harness.core.outcome import Completed, Roofline
from harness.core.trace import BETWEEN, Family, StageTime, TraceFacts
from harness.core.units import Absent, format_percent, format_seconds

DENOISER = "denoiser"
_FEW_OPERATORS = 20
"""Fewer operators per call mean that a CPU denoiser runs in an exported engine outside of torch."""
_KERNELS_PER_GRAPH = 5
"""More kernels per launch mean that they are replayed as CUDA graphs."""
_MANY_LAUNCHES = 50
"""Launches per denoiser call from which on pauses are attributed to launching."""
IDLE_SHARE, BOUND_SHARE = 0.25, 0.5
"""Share of the denoiser's time from which pauses, or arithmetic or memory, count as its bound."""
_WHOLE = 1.05
"""Largest share that still counts as complete work: the rates measured here may be a little low."""

Verdict = Literal["launch-bound", "host-bound", "compute-bound", "memory-bound", "mixed", "unknown"]


def _anything(axis: str, value: str) -> bool:
    return True


class TracedCell(NamedTuple):
    """A cell with the facts of its trace.

    Seconds are those of unprofiled calls where there are any. `fits` returns whether a value of an
    axis is compatible with the cell's other settings.
    """

    facts: TraceFacts
    outcome: Completed
    cell: Cell
    model: ModelInfo
    fits: Callable[[str, str], bool] = _anything

    @property
    def denoiser(self) -> StageTime | None:
        return next(
            (stage for stage in self.facts.stages if stage.stage == DENOISER and stage.calls), None
        )

    @property
    def gpu(self) -> bool:
        return self.facts.device == "cuda"

    @property
    def device(self) -> str:
        return "the GPU" if self.gpu else "the processor"

    @property
    def denoiser_bytes(self) -> int | None:
        """The size of the denoiser's weights, by name in the pipeline; None if unknown."""
        sizes = self.outcome.weights_bytes
        return next(
            (sizes[name] for name in ("unet", "transformer", DENOISER) if sizes.get(name)), None
        )

    def setting(self, axis: str) -> str:
        """Return the cell's value of an axis with options; empty for an axis it does not name."""
        return self.cell.by_axis.get(axis, "")

    def others(self, axis: str, values: Iterable[str]) -> tuple[str, ...]:
        """Return the values that the cell does not have, whatever their options."""
        on = self.setting(axis).split("+")[0]
        return tuple(value for value in values if value.split("+")[0] != on)

    def stage_s(self, stage: str) -> float:
        """Return a stage's seconds in a whole call: the median of repeats, else the trace's."""
        timed = [
            repeat.stages_s[stage] for repeat in self.outcome.repeats if stage in repeat.stages_s
        ]
        if timed:
            return median(timed)
        traced = next((found for found in self.facts.stages if found.stage == stage), None)
        return traced.wall_s * self._times(traced) if traced else 0.0

    def _times(self, stage: StageTime) -> float:
        """Return how many times as many calls of a stage a whole call has as the trace."""
        return (
            self.outcome.denoiser_calls / stage.calls
            if stage.stage == DENOISER and stage.calls
            else 1.0
        )

    @property
    def call_s(self) -> float:
        """The seconds of a whole call: the median of the repeats, else the sum of the stages."""
        if self.outcome.repeats:
            return median(repeat.latency_s for repeat in self.outcome.repeats)
        return sum(self.stage_s(stage.stage) for stage in self.facts.stages)

    def share(self, stage: str) -> float:
        """Return the share of a whole call that a stage takes, 0 to 1; BETWEEN: the rest."""
        if stage == BETWEEN:
            return max(
                1
                - sum(
                    self.share(found.stage) for found in self.facts.stages if found.stage != BETWEEN
                ),
                0.0,
            )
        return min(self.stage_s(stage) / self.call_s, 1.0) if self.call_s else 0.0

    @property
    def denoiser_call_s(self) -> float:
        """The seconds of one call of the denoiser."""
        return (
            self.stage_s(DENOISER) / self.outcome.denoiser_calls
            if self.outcome.denoiser_calls
            else 0.0
        )

    @property
    def idle_share(self) -> float:
        """The share of the denoiser's time in which the device had no work, 0 to 1."""
        return self._idle(self.denoiser) if self.denoiser else 0.0

    def _idle(self, stage: StageTime) -> float:
        """Return the share of a stage's time in which the device had no work.

        A profiler slows the host but not a GPU's kernels. So on a GPU their time is compared with
        the stage's unprofiled time; on a CPU both are slowed, and the share within the trace is
        used.
        """
        traced, whole_s = (
            stage.gap_s / stage.wall_s if stage.wall_s else 0.0,
            self.stage_s(stage.stage),
        )
        if not self.gpu or stage.stage == BETWEEN or not whole_s:
            return traced
        return min(max(1 - stage.busy_s * self._times(stage) / whole_s, 0.0), traced)

    def working(self, lost_s: Mapping[str, float]) -> float:
        """Return the share of a whole call that work takes, from its seconds by stage."""
        return sum(
            self.share(stage.stage)
            * (1 - self._idle(stage))
            * min(lost_s.get(stage.stage, 0.0) / stage.busy_s, 1.0)
            for stage in self.facts.stages
            if stage.busy_s
        )

    def waiting(self, lost_s: Mapping[str, float]) -> float:
        """Return the share of a whole call that pauses take, from their seconds by stage."""
        return sum(
            self.share(stage.stage)
            * self._idle(stage)
            * min(lost_s.get(stage.stage, 0.0) / stage.gap_s, 1.0)
            for stage in self.facts.stages
            if stage.gap_s
        )

    def family_share(self, *families: Family) -> float:
        """Return the share of the denoiser's time that kernels of these families take, 0 to 1."""
        stage = self.denoiser
        if stage is None or not stage.busy_s:
            return 0.0
        return (
            (1 - self.idle_share)
            * sum(stage.families_s.get(name, 0.0) for name in families)
            / stage.busy_s
        )

    @property
    def graphs(self) -> bool:
        """Whether the denoiser's kernels are replayed as CUDA graphs or launched by an engine."""
        stage = self.denoiser
        return stage is not None and stage.kernels > _KERNELS_PER_GRAPH * max(stage.launches, 1)

    @property
    def launching(self) -> bool:
        """Whether the denoiser launches enough kernels one by one to explain pauses."""
        stage = self.denoiser
        return (
            stage is not None
            and self.gpu
            and not self.graphs
            and stage.launches >= _MANY_LAUNCHES * stage.calls
        )

    @property
    def opaque(self) -> bool:
        """Whether the denoiser runs outside of torch, where a trace of the CPU records nothing."""
        stage = self.denoiser
        return not self.gpu and stage is not None and stage.kernels < _FEW_OPERATORS * stage.calls


class Bound(Frozen):
    """How one call of the denoiser spends its time, in shares from 0 to 1.

    `compute_share`: the least time of its arithmetic at the rate of large matrix products measured
    here. `weights_share`: the least time of reading its weights once, at the rate of a large copy
    measured here. `traffic_share`: kernels that are limited by memory bandwidth: norms,
    element-wise operations, copies.
    """

    verdict: Verdict
    call_s: float
    idle_share: float
    compute_share: float | Absent
    weights_share: float | Absent
    traffic_share: float
    sentence: str


def find_bound(cell: TracedCell) -> Bound:
    """Return what bounds the denoiser: a roofline (Williams et al. 2009) with measured roofs."""
    compute, weights = _compute_share(cell), _weights_share(cell)
    traffic = cell.family_share("norm", "elementwise", "copy")
    verdict = _verdict(cell, compute, weights, traffic)
    return Bound(
        verdict=verdict,
        call_s=cell.denoiser_call_s,
        idle_share=cell.idle_share,
        compute_share=compute,
        weights_share=weights,
        traffic_share=traffic,
        sentence=_sentence(cell, verdict, compute, weights),
    )


def _verdict(
    cell: TracedCell, compute: float | Absent, weights: float | Absent, traffic: float
) -> Verdict:
    if cell.denoiser is None or cell.opaque:
        return "unknown"
    if cell.idle_share >= IDLE_SHARE:
        return "launch-bound" if cell.launching else "host-bound"
    known = compute if isinstance(compute, float) else 0.0
    memory = max(weights if isinstance(weights, float) else 0.0, traffic)
    if max(known, memory) >= BOUND_SHARE:
        return "compute-bound" if known >= memory else "memory-bound"
    return "unknown" if isinstance(compute, Absent) else "mixed"


def _roofline(cell: TracedCell) -> Roofline | Absent:
    if isinstance(cell.outcome.roofline, Absent):
        return cell.outcome.roofline
    if not cell.denoiser_call_s:
        return Absent(absent="no call of the denoiser was timed or traced")
    return cell.outcome.roofline


def _compute_share(cell: TracedCell) -> float | Absent:
    roofline = _roofline(cell)
    if isinstance(roofline, Absent):
        return roofline
    return _compare(cell, roofline.seconds / cell.outcome.denoiser_calls, "the counted arithmetic")


def _weights_share(cell: TracedCell) -> float | Absent:
    roofline, size = _roofline(cell), cell.denoiser_bytes
    if isinstance(roofline, Absent):
        return roofline
    if isinstance(roofline.bytes_per_s, Absent):
        return roofline.bytes_per_s
    if not size:
        return Absent(absent="the size of the denoiser's weights is not known")
    return _compare(cell, size / roofline.bytes_per_s, "reading all its weights")


def _compare(cell: TracedCell, least_s: float, what: str) -> float | Absent:
    """Return the share of a denoiser call that `what` takes at least; Absent if part is skipped."""
    if cell.setting("caching") not in ("", "none"):
        return Absent(absent=f"caching skips part of {what}")
    share = least_s / cell.denoiser_call_s
    return share if share <= _WHOLE else Absent(absent=f"it is faster than {what}: part is skipped")


def _sentence(
    cell: TracedCell, verdict: Verdict, compute: float | Absent, weights: float | Absent
) -> str:
    """Return the verdict as a sentence with its figures."""
    if cell.denoiser is None:
        return "The bound is unknown: no call of the denoiser is marked in the trace."
    call = f"One denoiser call takes {format_seconds(cell.denoiser_call_s)}"
    if cell.opaque:
        return f"{call}, in an engine outside of torch, which the trace does not show."
    idle = format_percent(cell.idle_share, 0)
    if verdict in ("launch-bound", "host-bound"):
        why = "to launch the next kernel" if verdict == "launch-bound" else "Python and the host"
        return (
            f"{call}; {idle} of it {cell.device} waits for "
            f"{'the host ' * (verdict == 'launch-bound')}{why}."
        )
    facts = [f"{cell.device} waits {idle} of that time"]
    if not isinstance(compute, Absent):
        facts.append(
            f"the arithmetic alone would need {format_percent(compute, 0)} at the rate measured "
            "here"
        )
    if not isinstance(weights, Absent):
        facts.append(f"reading the weights once {format_percent(weights, 0)}")
    return f"{call}; {', '.join(facts)}."
