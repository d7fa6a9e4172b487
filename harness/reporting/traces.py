"""What a cell's trace shows; or why it has none, and the command that takes one."""

import os
from pathlib import Path
from typing import NamedTuple

from harness.axes.compatibility import make_fit_check
from harness.core.axis import Cell
from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.trace import Gap, Kernel, StageTime, Tally, Trace, TraceFacts
from harness.core.units import Absent, format_bytes, format_seconds, plural
from harness.reporting.parts import Bar, Flame, NamedValue, Piece, build_flame
from harness.reporting.text import KERNEL_FAMILIES, profile_command
from harness.results import CellResult
from harness.results.format import (
    DASH,
    explain_absence,
    format_count,
    format_share,
)
from harness.store import RunFolder
from harness.tracing.diff import KernelChange

IDLE = "idle"


class _Most(NamedTuple):
    """How many ranges, kernels, gaps and changed kernels are shown at most."""

    ranges: int
    kernels: int
    gaps: int
    changes: int


_FINE, _COARSE = _Most(300, 8, 5, 6), _Most(24, 3, 1, 0)


class Advised(Frozen):
    """One sentence of advice with the figure behind it."""

    sentence: str
    figure: str


class TraceFinding(Frozen):
    """What bounds the denoiser, in a word or two and in a sentence, and advice."""

    verdict: str
    bound: str
    advice: tuple[Advised, ...]


class TraceView(Frozen):
    """A cell's trace; without one, `absent` says why and the rest is empty."""

    absent: str = ""
    command: str = ""
    caption: str = ""
    gpu: bool = False
    finding: TraceFinding | None = None
    flame: Flame | None = None
    stages: tuple[Bar, ...] = ()
    keys: tuple[Piece, ...] = ()
    kernels: tuple[Kernel, ...] = ()
    busy_s: float = 0.0
    """The device's busy time, of which kernels have shares."""
    gaps: tuple[Gap, ...] = ()
    counts: tuple[NamedValue, ...] = ()
    notes: tuple[str, ...] = ()
    link: str = ""
    file: str = ""
    changes: tuple[str, ...] = ()
    """The differences from the baseline's trace."""
    changed_kernels: tuple[KernelChange, ...] = ()


def view_trace(cell: CellResult, samples: Completed, out: Path, fine: bool) -> TraceView:
    """Return what a cell's trace shows, whole if `fine`; `out` is the page's folder, for links."""
    facts, trace = cell.trace, samples.trace
    if isinstance(trace, Absent) or facts is None:
        return TraceView(absent=explain_absence(trace), command=profile_command(cell))
    most = _FINE if fine else _COARSE
    steps = describe_steps(cell.planned.cell, trace)
    busy = f"{format_share(facts.busy_s / facts.wall_s)} of it busy" if facts.wall_s else ""
    wall = f"{format_seconds(facts.wall_s)} under the profiler"
    link, file = _link(cell, trace, out)
    changes, changed = _compare_trace(cell, facts)
    return TraceView(
        caption=f"{facts.device.upper()}, {steps} of one call: {wall}, {busy}",
        gpu=facts.device == "cuda",
        finding=_find_bound(cell, samples, facts),
        flame=build_flame(facts, most.ranges),
        stages=_list_stages(facts, fine),
        keys=_list_families(facts),
        kernels=facts.kernels[: most.kernels],
        busy_s=sum(stage.busy_s for stage in facts.stages) or facts.busy_s,
        gaps=facts.gaps[: most.gaps],
        counts=_list_counts(facts),
        notes=tuple(dict.fromkeys((*trace.notes, *facts.notes))),
        link=link,
        file=file,
        changes=changes,
        changed_kernels=changed[: most.changes],
    )


def describe_steps(cell: Cell, trace: Trace) -> str:
    """Return how many of a cell's steps were traced (not of its calls: Heun has two a step).

    If the cell asks for no number of steps, only the traced ones.
    """
    asked = cell.by_axis.get("steps", "")
    whole = int(asked) if asked.isdecimal() else 0
    if trace.steps < whole:
        return f"{trace.steps} of {plural(whole, 'step')}"
    return plural(trace.steps, "step")


def _find_bound(cell: CellResult, samples: Completed, facts: TraceFacts) -> TraceFinding:
    from harness.tracing import TracedCell, advise, find_bound

    plan, settings = cell.run.plan, cell.planned.cell
    traced = TracedCell(
        facts, samples, settings, plan.model, make_fit_check(settings, plan.model, plan.machine)
    )
    bound = find_bound(traced)
    advice = tuple(
        Advised(
            sentence=found.sentence,
            figure=f"about {format_share(found.concerns)} of a call" if found.concerns else "",
        )
        for found in advise(traced)
    )
    return TraceFinding(verdict=bound.verdict, bound=bound.sentence, advice=advice)


def _link(cell: CellResult, trace: Trace, out: Path) -> tuple[str, str]:
    """Return a trace's address from the page, and its name and size; empty if it is gone."""
    path = RunFolder(cell.run.folder).cell(cell.id) / trace.path
    if not path.exists():
        return "", ""
    try:
        address = Path(os.path.relpath(path.resolve(), out.resolve())).as_posix()
    except ValueError:  # on another drive
        address = path.resolve().as_uri()
    return address, f"{path.name}, {format_bytes(trace.size_bytes)}"


def _title(stage: str) -> str:
    return stage.replace("_", " ") or "outside of stages"


def _list_counts(facts: TraceFacts) -> tuple[NamedValue, ...]:
    """Return how often the host waited, and what was copied, converted and recompiled."""
    again = facts.recompiles
    known = not isinstance(again, Absent)
    return (
        _show_tally("Synchronisations", facts.synchronisations),
        _show_tally("Host to device", facts.host_to_device),
        _show_tally("Device to host", facts.device_to_host),
        _show_tally("Casts of dtype", facts.casts),
        NamedValue(
            name="Recompiles",
            value=format_count(again) if known else DASH,  # type: ignore[arg-type]
            note=explain_absence(again),
        ),
    )


def _show_tally(name: str, tally: Tally) -> NamedValue:
    if not tally.count:
        return NamedValue(name=name, value="none")
    moved = f", {format_bytes(tally.size_bytes)}" if tally.size_bytes else ""
    note = f"{format_seconds(tally.total_s)}{moved}"
    return NamedValue(name=name, value=format_count(tally.count), note=note)


def _list_stages(facts: TraceFacts, fine: bool) -> tuple[Bar, ...]:
    """Return one bar per stage, in the order of the call, in pieces by family of kernels."""
    longest = max((stage.wall_s for stage in facts.stages), default=0.0)
    stages = [stage for stage in facts.stages if stage.wall_s > 0]
    return tuple(_show_stage(facts, stage, longest, fine) for stage in stages)


def _show_stage(facts: TraceFacts, stage: StageTime, longest: float, fine: bool) -> Bar:
    known = {f: seconds for f in KERNEL_FAMILIES if (seconds := stage.families_s.get(f, 0.0)) > 0}
    # Kernels on two streams run at once: their sum may exceed the time in which there was any.
    shrink = min(1.0, stage.busy_s / sum(known.values())) if known else 1.0
    parts: list[tuple[str, str, float, float]] = [
        (f, KERNEL_FAMILIES[f], seconds, seconds * shrink) for f, seconds in known.items()
    ]
    parts.append((IDLE, IDLE, stage.gap_s, stage.gap_s))
    pieces = tuple(
        Piece(
            colour=f"f-{kind}",
            width=round(100 * drawn / longest, 2),
            text=_describe_piece(stage, name, seconds) if fine else "",
        )
        for kind, name, seconds, drawn in parts
        if drawn > 0
    )
    notes = [plural(stage.calls, "call")] if stage.calls else []
    notes.append(f"{format_share(stage.busy_s / stage.wall_s)} busy")
    if facts.device == "cuda":
        launches = plural(stage.launches, "launch", "launches")
        notes.append(f"{launches}, {format_seconds(stage.launch_s)} of the host’s time")
    value = format_seconds(stage.wall_s)
    return Bar(name=_title(stage.stage), value=value, note=", ".join(notes), pieces=pieces)


def _describe_piece(stage: StageTime, name: str, seconds: float) -> str:
    share = format_share(seconds / stage.wall_s)
    return f"{_title(stage.stage)}, {name}: {format_seconds(seconds)}, {share}"


def _list_families(facts: TraceFacts) -> tuple[Piece, ...]:
    """Return the legend: each family that occurs with its time, the most first, idle last."""
    stages = facts.stages
    sums = {
        name: sum(stage.families_s.get(name, 0.0) for stage in stages) for name in KERNEL_FAMILIES
    }
    whole = sum(stage.wall_s for stage in stages) or 1.0
    ordered = sorted(sums, key=lambda family: -sums[family])
    entries: list[tuple[str, str, float]] = [(f, KERNEL_FAMILIES[f], sums[f]) for f in ordered]
    entries.append((IDLE, IDLE, sum(stage.gap_s for stage in stages)))
    return tuple(
        Piece(
            colour=f"f-{kind}",
            width=0,
            name=name,
            text=f"{format_seconds(seconds)}, {format_share(seconds / whole)}",
        )
        for kind, name, seconds in entries
        if seconds > 0
    )


def _compare_trace(
    cell: CellResult, facts: TraceFacts
) -> tuple[tuple[str, ...], tuple[KernelChange, ...]]:
    """Return the differences from the baseline's trace in sentences, and the changed kernels."""
    from harness.tracing import compare

    before = cell.run.baseline.trace
    if cell.is_baseline or before is None:
        return (), ()
    found = compare(before, facts)
    return found.sentences, found.kernels
