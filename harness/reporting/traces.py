"""What a cell's trace says, as a page shows it; or that it has none, why, and the command that makes one."""

import os
from pathlib import Path
from typing import NamedTuple

from harness.axes.compatibility import make_fit_check
from harness.core.axis import Cell
from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.trace import BETWEEN, Gap, Kernel, Tally, Trace, TraceFacts
from harness.core.units import Absent
from harness.reporting.flame import Flame, build_flame
from harness.reporting.loaded import LoadedRun
from harness.reporting.named import Named
from harness.reporting.profiled import profile_command
from harness.reporting.stage_families import FAMILIES, FamilyKey, StageFamilies, family_keys, stage_rows
from harness.reporting.trace_changes import TraceChange, build_trace_change
from harness.reporting.wording import DASH, grouped, plural, seconds, share, size, why
from harness.store import RunFolder


class _Limits(NamedTuple):
    """How many ranges, kernels, gaps and changed kernels are shown at most."""

    ranges: int
    kernels: int
    gaps: int
    changes: int


_FINE, _COARSE = _Limits(300, 8, 5, 6), _Limits(24, 3, 1, 0)


class Advised(Frozen):
    """One sentence of advice with the figure behind it."""

    sentence: str
    figure: str


class TraceAdvice(Frozen):
    """What holds the denoiser back, in a word or two and in a sentence, and what to try."""

    verdict: str
    bound: str
    advice: tuple[Advised, ...]


class KernelRow(Frozen):
    """One of the longest kernels, with its share of all busy time."""

    name: str
    family: str
    kind: str
    stage: str
    calls: str
    total: str
    share: str


class GapRow(Frozen):
    """One of the longest pauses of the device."""

    seconds: str
    stage: str
    between: str
    host: str


class TraceView(Frozen):
    """A cell's trace; where there is none, `absent` says why and the rest is empty."""

    absent: str = ""
    command: str = ""
    caption: str = ""
    gpu: bool = False
    findings: TraceAdvice | None = None
    flame: Flame | None = None
    stages: tuple[StageFamilies, ...] = ()
    keys: tuple[FamilyKey, ...] = ()
    kernels: tuple[KernelRow, ...] = ()
    gaps: tuple[GapRow, ...] = ()
    counts: tuple[Named, ...] = ()
    notes: tuple[str, ...] = ()
    link: str = ""
    file: str = ""
    change: TraceChange | None = None


def trace_view(loaded: LoadedRun, cell_id: str, cell: Completed, out: Path, fine: bool) -> TraceView:
    """Return what a cell's trace says, in all its parts if fine.

    `out` is the folder of the page, from where the trace is linked.
    """
    facts = loaded.traces.get(cell_id)
    if isinstance(cell.trace, Absent) or facts is None:
        return TraceView(absent=why(cell.trace), command=profile_command(loaded, cell_id))
    limits = _FINE if fine else _COARSE
    named = f"{facts.device.upper()}, {steps_words(loaded.plan.find(cell_id).cell, cell.trace)} of one call"
    busy = f"{share(facts.busy_s / facts.wall_s)} of it busy" if facts.wall_s else ""
    link, file = _link(loaded, cell_id, cell.trace, out)
    whole = sum(stage.busy_s for stage in facts.stages) or facts.busy_s
    return TraceView(
        caption=f"{named}: {seconds(facts.wall_s)} under the profiler, {busy}",
        gpu=facts.device == "cuda",
        flame=build_flame(facts, limits.ranges), stages=stage_rows(facts, fine), keys=family_keys(facts),
        counts=_counts(facts),
        kernels=tuple(_kernel(kernel, whole) for kernel in facts.kernels[: limits.kernels]),
        gaps=tuple(_gap(gap) for gap in facts.gaps[: limits.gaps]), link=link, file=file,
        notes=tuple(dict.fromkeys((*cell.trace.notes, *facts.notes))),
        change=build_trace_change(loaded, cell_id, facts, limits.changes),
        findings=_list_findings(loaded, cell_id, cell, facts),
    )  # fmt: skip


def steps_words(cell: Cell, trace: Trace) -> str:
    """Return how many of the steps that a cell asks for were traced; denoiser calls may be more: Heun makes two a step.

    Where it asks for no number of steps, those traced alone: the trace's notes say if they were fewer.
    """
    asked = cell.by_axis.get("steps", "")
    whole = int(asked) if asked.isdecimal() else 0
    return f"{trace.steps} of {plural(whole, 'step')}" if trace.steps < whole else plural(trace.steps, "step")


def _list_findings(loaded: LoadedRun, cell_id: str, cell: Completed, facts: TraceFacts) -> TraceAdvice:
    """Return what holds the denoiser back and the advice."""
    from harness.tracing import TracedCell, advise, find_bound

    plan, settings = loaded.plan, loaded.plan.find(cell_id).cell
    traced = TracedCell(facts, cell, settings, plan.model, make_fit_check(settings, plan.model, plan.machine))
    bound = find_bound(traced)
    advice = tuple(
        Advised(sentence=found.sentence, figure=f"about {share(found.concerns)} of a call" if found.concerns else "")
        for found in advise(traced)
    )
    return TraceAdvice(verdict=bound.verdict, bound=bound.sentence, advice=advice)


def _link(loaded: LoadedRun, cell_id: str, trace: Trace, out: Path) -> tuple[str, str]:
    """Return the address of a trace as seen from the page and its size in words; no address where it is not there."""
    path = RunFolder(loaded.run).cell(cell_id) / trace.path
    if not path.exists():
        return "", ""
    try:
        address = Path(os.path.relpath(path.resolve(), out.resolve())).as_posix()
    except ValueError:  # on another drive
        address = path.resolve().as_uri()
    return address, f"{path.name}, {size(trace.size_bytes)}"


def _kernel(kernel: Kernel, whole: float) -> KernelRow:
    return KernelRow(
        name=kernel.name, family=FAMILIES[kernel.family], kind=kernel.family, stage=kernel.stage.replace("_", " "),
        calls=grouped(kernel.calls), total=seconds(kernel.total_s),
        share=share(kernel.total_s / whole) if whole else DASH,
    )  # fmt: skip


def _gap(gap: Gap) -> GapRow:
    return GapRow(
        seconds=seconds(gap.seconds),
        stage=gap.stage if gap.stage == BETWEEN else f"in {gap.stage.replace('_', ' ')}",
        between=f"{gap.after or 'the beginning'} → {gap.before or 'the end'}",
        host=gap.host or DASH,
    )


def _counts(facts: TraceFacts) -> tuple[Named, ...]:
    """Return how often the host waited, what was copied, converted and compiled again."""
    rows = [
        _tally("Synchronisations", facts.synchronisations),
        _tally("Host to device", facts.host_to_device),
        _tally("Device to host", facts.device_to_host),
        _tally("Casts of dtype", facts.casts),
    ]
    again = facts.recompiles
    if isinstance(again, Absent):
        return (*rows, Named(name="Recompiles", value=DASH, note=again.absent))
    return (*rows, Named(name="Recompiles", value=grouped(again)))


def _tally(name: str, tally: Tally) -> Named:
    moved = f", {size(tally.size_bytes)}" if tally.size_bytes else ""
    note = f"{seconds(tally.total_s)}{moved}" if tally.count else ""
    return Named(name=name, value=grouped(tally.count) if tally.count else "none", note=note)
