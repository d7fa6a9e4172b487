"""A cell's trace on a terminal."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.table import Table

from harness.core.trace import Family, Kernel, TraceFacts
from harness.core.units import format_bytes, format_percent, format_seconds
from harness.profiling import Explained
from harness.store import RunFolder
from harness.tracing import TraceDiff, summarize_trace

KERNELS, GAPS, CHANGES = 8, 4, 10


def explained_summary(explained: Explained) -> dict[str, Any]:
    """Return the explained trace as JSON data, for programs and language models."""
    where = {
        "run": explained.run.name,
        "cell": explained.cell,
        "trace": explained.trace.model_dump(mode="json"),
    }
    against = {"compared_with": explained.against} if explained.against else {}
    summary = summarize_trace(explained.facts, explained.bound, explained.advice, explained.diff)
    return {**where, **against, **summary}


def explained_parts(explained: Explained) -> Iterator[Any]:
    """Yield lines and tables: advice first, then the figures behind it."""
    facts = explained.facts
    yield f"[bold]{escape(explained.cell)}[/]"
    busy = format_percent(facts.busy_s / facts.wall_s, 0) if facts.wall_s else "0 %"
    steps = explained.trace.steps
    traced = f"{facts.device.upper()}, one call of {steps} step{'s' * (steps != 1)}: "
    yield f"[dim]{traced}{format_seconds(facts.wall_s)} under the profiler, {busy} of it busy[/]\n"
    yield escape(explained.bound.sentence)
    for number, advice in enumerate(explained.advice, 1):
        if advice.sentence != explained.bound.sentence:
            yield f"[bold]{number}[/] {escape(advice.sentence)}"
    yield ""
    yield _stages(facts)
    yield ""
    yield _kernels(facts)
    if any(gap.seconds for gap in facts.gaps):
        yield ""
        yield _gaps(facts)
    yield ""
    yield f"[dim]{escape(_counts(facts))}[/]"
    for note in dict.fromkeys((*explained.trace.notes, *facts.notes)):
        yield f"[yellow]note: {escape(note)}[/]"
    if explained.diff:
        yield from _diff(explained.diff, explained.against)
    file = RunFolder(explained.run).cell(explained.cell) / explained.trace.path
    yield f"[dim]{escape(str(file))} ({format_bytes(explained.trace.size_bytes)}): open it in https://ui.perfetto.dev[/]"


def _table(*columns: str) -> Table:
    """Return a table whose first column, and those that end in `…`, hold text; the others hold
    figures."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, column in enumerate(columns):
        words = place == 0 or column.endswith("…")
        table.add_column(column.removesuffix("…"), justify="left" if words else "right")
    return table


def _stages(facts: TraceFacts) -> Table:
    families: Counter[Family] = Counter()
    for stage in facts.stages:
        families.update(stage.families_s)
    shown = [family for family, _ in families.most_common()]
    table = _table("stage", "calls", "time", "share", "idle", *shown)
    for stage in facts.stages:
        share = format_percent(stage.wall_s / facts.wall_s, 0) if facts.wall_s else ""
        times = [
            format_seconds(stage.families_s[name]) if name in stage.families_s else ""
            for name in shown
        ]
        table.add_row(
            stage.stage,
            str(stage.calls or ""),
            format_seconds(stage.wall_s),
            share,
            format_seconds(stage.gap_s),
            *times,
        )
    return table


def _kernels(facts: TraceFacts) -> Table:
    table = _table(
        "longest kernels" if facts.device == "cuda" else "longest operators",
        "family…",
        "stage…",
        "calls",
        "time",
    )
    for kernel in facts.kernels[:KERNELS]:
        table.add_row(*_kernel(kernel))
    return table


def _kernel(kernel: Kernel) -> tuple[str, ...]:
    return (
        escape(kernel.name),
        kernel.family,
        kernel.stage,
        str(kernel.calls),
        format_seconds(kernel.total_s),
    )


def _gaps(facts: TraceFacts) -> Table:
    device = "the GPU" if facts.device == "cuda" else "the processor"
    table = _table(f"longest pauses of {device}", "stage…", "at", "the host did…")
    for gap in facts.gaps[:GAPS]:
        began = format_seconds(gap.begin_s)
        table.add_row(format_seconds(gap.seconds), gap.stage, began, escape(gap.host))
    return table


def _counts(facts: TraceFacts) -> str:
    """Return one line of counters."""
    waits, casts = facts.synchronisations, facts.casts
    words = [
        f"{waits.count} waits of the host for the device ({format_seconds(waits.total_s)})"
    ] * (facts.device == "cuda")
    words.append(f"{casts.count} conversions of number formats ({format_seconds(casts.total_s)})")
    for tally, way in ((facts.host_to_device, "to"), (facts.device_to_host, "from")):
        if tally.count:
            words.append(
                f"{format_bytes(tally.size_bytes)} copied {way} the GPU in "
                f"{format_seconds(tally.total_s)}"
            )
    if isinstance(facts.recompiles, int):
        words.append(f"{facts.recompiles} recompilations")
    return ", ".join(words)


def _diff(diff: TraceDiff, against: str) -> Iterator[Any]:
    yield f"\n[bold]against {escape(against)}[/]"
    for sentence in diff.sentences:
        yield escape(sentence)
    if not diff.kernels:
        return
    yield ""
    table = _table(
        "kernel, in one call of its stage", "change…", "stage…", "calls", "before", "after"
    )
    for change in diff.kernels[:CHANGES]:
        calls = f"{change.before_calls:.3g} → {change.after_calls:.3g}"
        before, after = (
            format_seconds(seconds) if seconds else ""
            for seconds in (change.before_s, change.after_s)
        )
        table.add_row(escape(change.name), change.change_kind, change.stage, calls, before, after)
    yield table
    left = len(diff.kernels) - CHANGES
    if left > 0:
        yield f"[dim]and {left} more[/]"
    yield ""
