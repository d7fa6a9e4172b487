"""A traced cell as the advice rules read it: facts of the trace, unprofiled timings, settings; and what bounds it."""

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
"""Fewer operators per call mean that a CPU denoiser runs in an exported engine, which the trace does not show."""
_KERNELS_PER_GRAPH = 5
"""More kernels per launch mean that they are replayed as CUDA graphs."""
_MANY_LAUNCHES = 50
"""From so many launches in a denoiser call on, pauses between kernels are attributed to launching."""
IDLE_SHARE, BOUND_SHARE = 0.25, 0.5
"""Share of the denoiser's time from which pauses, or arithmetic or memory, count as its bound."""
_WHOLE = 1.05
"""Largest share that still counts as complete work: the rates measured here may be a little low."""

Verdict = Literal["launch-bound", "host-bound", "compute-bound", "memory-bound", "mixed", "unknown"]


def _anything(axis: str, value: str) -> bool:
    return True


class TracedCell(NamedTuple):
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
        return stage is not None and stage.kernels > _KERNELS_PER_GRAPH * max(stage.launches, 1)

    @property
    def launching(self) -> bool:
        """Whether the denoiser's kernels are so many, launched one by one, that launching explains pauses."""
        stage = self.denoiser
        return stage is not None and self.gpu and not self.graphs and stage.launches >= _MANY_LAUNCHES * stage.calls

    @property
    def opaque(self) -> bool:
        """Whether the denoiser runs outside of torch, where a trace of the CPU sees nothing."""
        stage = self.denoiser
        return not self.gpu and stage is not None and stage.kernels < _FEW_OPERATORS * stage.calls


class Bound(Frozen):
    """What one call of the denoiser spends its time on, each a share of it, 0 to 1.

    `compute_share`: the least time of its arithmetic at the rate of large matrix products measured here.
    `weights_share`: the least time of reading its weights once, at the rate of a large copy measured here.
    `traffic_share`: kernels that wait for memory by their nature: norms, element by element, copies.
    """

    verdict: Verdict
    call_s: float
    idle_share: float
    compute_share: float | Absent
    weights_share: float | Absent
    traffic_share: float
    sentence: str


def find_bound(traced: TracedCell) -> Bound:
    """Return what holds the denoiser back; the roofline's question (Williams et al. 2009) with measured roofs."""
    compute, weights = _compute_share(traced), _weights_share(traced)
    traffic = traced.family_share("norm", "elementwise", "copy")
    verdict = _verdict(traced, compute, weights, traffic)
    return Bound(
        verdict=verdict,
        call_s=traced.denoiser_call_s,
        idle_share=traced.idle_share,
        compute_share=compute,
        weights_share=weights,
        traffic_share=traffic,
        sentence=_sentence(traced, verdict, compute, weights),
    )


def _verdict(traced: TracedCell, compute: float | Absent, weights: float | Absent, traffic: float) -> Verdict:
    if traced.denoiser is None or traced.opaque:
        return "unknown"
    if traced.idle_share >= IDLE_SHARE:
        return "launch-bound" if traced.launching else "host-bound"
    known = compute if isinstance(compute, float) else 0.0
    memory = max(weights if isinstance(weights, float) else 0.0, traffic)
    if max(known, memory) >= BOUND_SHARE:
        return "compute-bound" if known >= memory else "memory-bound"
    return "unknown" if isinstance(compute, Absent) else "mixed"


def _roofline(traced: TracedCell) -> Roofline | Absent:
    if isinstance(traced.outcome.roofline, Absent):
        return traced.outcome.roofline
    if not traced.denoiser_call_s:
        return Absent(absent="no call of the denoiser was timed or traced")
    return traced.outcome.roofline


def _compute_share(traced: TracedCell) -> float | Absent:
    roofline = _roofline(traced)
    if isinstance(roofline, Absent):
        return roofline
    return _compare_with(traced, roofline.seconds / traced.outcome.denoiser_calls, "the arithmetic that was counted")


def _weights_share(traced: TracedCell) -> float | Absent:
    roofline, size = _roofline(traced), traced.denoiser_bytes
    if isinstance(roofline, Absent):
        return roofline
    if isinstance(roofline.bytes_per_s, Absent):
        return roofline.bytes_per_s
    if not size:
        return Absent(absent="the size of the denoiser's weights is not known")
    return _compare_with(traced, size / roofline.bytes_per_s, "the reading of all its weights")


def _compare_with(traced: TracedCell, least_s: float, what: str) -> float | Absent:
    """Return the share of a denoiser call that `what` takes at the least; Absent where not all of it is done."""
    if traced.setting("caching") not in ("", "none"):
        return Absent(absent=f"caching leaves out some of {what}")
    share = least_s / traced.denoiser_call_s
    return share if share <= _WHOLE else Absent(absent=f"it is faster than {what}: some is left out")


def _sentence(traced: TracedCell, verdict: Verdict, compute: float | Absent, weights: float | Absent) -> str:
    """Say the verdict in words, with the figure behind it."""
    if traced.denoiser is None:
        return "What holds the cell back is not known: no call of the denoiser is marked in the trace."
    call = f"One denoiser call takes {format_seconds(traced.denoiser_call_s)}"
    if traced.opaque:
        return f"{call}, in an engine outside of torch, of which the trace shows nothing."
    idle = format_percent(traced.idle_share, 0)
    if verdict in ("launch-bound", "host-bound"):
        why = "to launch the next kernel" if verdict == "launch-bound" else "Python and the host"
        return f"{call}; {idle} of it {traced.device} waits for {'the host ' * (verdict == 'launch-bound')}{why}."
    facts = [f"{traced.device} waits {idle} of that time"]
    if not isinstance(compute, Absent):
        facts.append(f"the arithmetic alone would need {format_percent(compute, 0)} at the rate measured here")
    if not isinstance(weights, Absent):
        facts.append(f"reading the weights once {format_percent(weights, 0)}")
    return f"{call}; {', '.join(facts)}."
