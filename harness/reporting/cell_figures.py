"""The figures of one cell: times, costs, memory, and what its settings did."""

from collections.abc import Callable, Mapping

from harness.core.base import Frozen
from harness.core.cost import Cost, machine_cost
from harness.core.outcome import ColdStart, Completed, Roofline
from harness.core.units import Absent, format_bytes, format_seconds, plural
from harness.reporting.parts import Bar, NamedValue, Piece, list_absences
from harness.reporting.text import MEMORY_PEAKS, write_break_even, write_cache
from harness.reporting.verdicts import write_analysis
from harness.results import CellResult
from harness.results.columns import BY_NAME
from harness.results.format import (
    DASH,
    explain_absence,
    format_count,
    format_number,
    format_share,
    format_value,
)
from harness.results.losses import WorstLoss

Figure = float | int | str


class AppliedEffect(Frozen):
    """What one setting did: its own sentence, and its figures."""

    axis: str
    value: str
    summary: str
    figures: tuple[NamedValue, ...]


class MemoryView(Frozen):
    """All known amounts of memory on one scale, and the unknown ones with the reason."""

    bars: tuple[Bar, ...]
    absent: tuple[NamedValue, ...]


def list_figures(cell: CellResult) -> tuple[NamedValue, ...]:
    """Return a timed cell's main figures, each with its interval or the reason for its absence."""
    samples = cell.timed
    if isinstance(samples, Absent):
        return ()
    figures = [_show("latency_s", cell, _note_call(cell, samples.batch))]
    throughput = format_value(cell.images_per_s, "rate")
    figures.append(NamedValue(name="Throughput", value=f"{throughput} images/s"))
    figures.append(_show("speedup", cell))
    if isinstance(cell.worst_loss, WorstLoss):
        figures.append(_show("worst_loss", cell, cell.worst_loss.metric))
    figures.append(_show("cold_start_s", cell, "until the first image"))
    figures.append(_show("build_cost_s", cell, _note_build(samples)))
    figures += [] if cell.is_baseline else [_show_break_even(cell)]
    peak = cell.peak_memory
    figures.append(
        _show("peak_memory_bytes", cell, "" if isinstance(peak, Absent) else peak.counter)
    )
    figures.append(_show("denoiser_calls", cell, "counted"))
    figures.append(_show("energy_j", cell, "drawn by the device in the timed blocks"))
    figures += [*_show_cost(cell), *_show_build_cost(cell)] if cell.run.has_prices else []
    figures += _show_roofline(cell, samples)
    figures += [_show_image_count(cell)] if cell.image_count else []
    return tuple(figures)


def _show(column: str, cell: CellResult, note: str = "") -> NamedValue:
    """Return a column's value with a note, or with the reason if it is absent."""
    shown = BY_NAME[column]
    value = shown.read(cell)
    note = explain_absence(value) if isinstance(value, Absent) else note
    return NamedValue(name=shown.title, value=format_value(value, shown.unit), note=note)


def _note_call(cell: CellResult, batch: int) -> str:
    """Return what the latency covers, and the baseline's time in the same rounds."""
    words = f"one call, {plural(batch, 'image')}"
    paired = cell.baseline_image_s
    if isinstance(paired, Absent):
        return words
    return f"{words}; the baseline in the same rounds {format_seconds(paired)} an image"


def _note_build(samples: Completed) -> str:
    """Return the parts of the cost of building, and the state of the caches if it is known."""
    cold = samples.cold_start
    assert isinstance(cold, ColdStart)  # every cell that was timed in this run has one
    parts = [f"settings {format_seconds(cold.apply_s)}"]
    parts += [f"compiling {format_seconds(cold.compile_s)}"] if cold.compile_s else []
    caches = (write_cache(effect.figures) for effect in samples.applied)
    return ", ".join((*parts, *(words for words in caches if words)))


def _show_break_even(cell: CellResult) -> NamedValue:
    found, baseline = cell.break_even, cell.run.plan.baseline_id
    if isinstance(found, Absent):
        return _show("break_even_images", cell)
    note = write_break_even(found, baseline)
    note += "" if found.against == baseline else f": cell {found.against}"
    images = format_value(found.images, "count")
    return NamedValue(name="Break-even images", value=images, note=note)


def _show_cost(cell: CellResult) -> list[NamedValue]:
    cost = cell.image_cost
    if isinstance(cost, Absent):
        return [NamedValue(name="Cost per image", value=DASH, note=cost.absent)]
    parts = (
        f"{name} {format_value(Cost(currency=cost.currency, parts={name: amount}))}"
        for name, amount in cost.parts.items()
    )
    note = f"{format_value(cost, 'thousand')} for 1,000; {', '.join(parts)}"
    return [NamedValue(name="Cost per image", value=format_value(cost), note=note)]


def _show_build_cost(cell: CellResult) -> list[NamedValue]:
    """Return what the machine costs while building, if that is more than an image's time."""
    found, seconds, plan = cell.break_even, cell.build_cost_s, cell.run.plan
    if isinstance(found, Absent) or isinstance(seconds, Absent) or not found.is_notable:
        return []
    cost = machine_cost(plan.matrix.prices, plan.machine, seconds)
    if isinstance(cost, Absent):
        return []
    images = found.images
    note = (
        images.absent
        if isinstance(images, Absent)
        else f"won back after {format_count(images)} images"
    )
    return [NamedValue(name="Cost to build", value=format_value(cost), note=note)]


def _show_roofline(cell: CellResult, samples: Completed) -> list[NamedValue]:
    """Return how many times its arithmetic bound the denoiser takes."""
    roofline = samples.roofline
    if not isinstance(roofline, Roofline) or isinstance(cell.stages_s, Absent):
        return []
    taken_s = cell.stages_s.get("denoiser", 0.0)
    counted, rate = format_flops(roofline.flops), format_flops(roofline.flops_per_s)
    bound = f"{roofline.dtype} products run here: {format_seconds(roofline.seconds)}"
    note = f"{counted} a call at {rate}/s, as {bound}"
    value = f"{format_number(taken_s / roofline.seconds)}× its arithmetic bound"
    return [NamedValue(name="Denoiser", value=value, note=note)]


def format_flops(count: float) -> str:
    """Return a number of floating-point operations with three digits: `6.76 TFLOP`."""
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if count >= size:
            return f"{count / size:.3g} {letter}FLOP"
    return f"{count:.0f} FLOP"


def _show_image_count(cell: CellResult) -> NamedValue:
    prompts = cell.prompts_judged
    judged = f"judged on {plural(prompts, 'prompt')}" if prompts else ""
    note = ", ".join(part for part in (judged, write_analysis(cell)) if part)
    return _show("images", cell, note)


def build_memory(samples: Completed) -> MemoryView:
    """Return the bytes of a cell's weights, and the peaks of one call, on one scale."""
    peaks = {field: getattr(samples.memory, field) for field in MEMORY_PEAKS}
    known = {field: count for field, count in peaks.items() if not isinstance(count, Absent)}
    weights = {part.replace("_", " "): count for part, count in samples.weights_bytes.items()}
    most = max((sum(weights.values()), *known.values())) or 1
    bars = [_make_bar("Weights", "", weights, most)] if weights else []
    for field, count in known.items():
        name, note = MEMORY_PEAKS[field]
        before = samples.memory.resident_before_bytes
        parts = {"": count}
        if field == "resident_bytes" and not isinstance(before, Absent):
            parts = {"before the call": before, "by the call": max(count - before, 0)}
            note = f"{note}; {format_bytes(before)} before the call"
        bars.append(
            _make_bar(name, note, parts, most).model_copy(update={"value": format_bytes(count)})
        )
    absent = list_absences((name, peaks[field]) for field, (name, _) in MEMORY_PEAKS.items())
    return MemoryView(bars=tuple(bars), absent=absent)


def _make_bar(name: str, note: str, parts: Mapping[str, int], most: int) -> Bar:
    colours = {"": "c1", "before the call": "c3", "by the call": "c1"}
    pieces = tuple(
        Piece(
            width=round(100 * max(count, 0) / most, 2),
            colour=colours.get(part, f"c{index % 6}"),
            text=f"{part}: {format_bytes(count)}" if part else format_bytes(count),
        )
        for index, (part, count) in enumerate(parts.items())
    )
    words = note or "; ".join(piece.text for piece in pieces)
    return Bar(name=name, note=words, value=format_bytes(sum(parts.values())), pieces=pieces)


_BYTES, _SHARES = ("bytes", "bytes_before", "bytes_after"), ("coverage", "share")
_PAIRS = (
    ("executed", "skipped"),
    ("calls", "calls_skipped"),
    ("quantized", "left"),
    ("hits", "misses"),
)
"""Endings of figures that belong together: the first one is the value, the second its note."""


def list_effects(samples: Completed) -> tuple[AppliedEffect, ...]:
    """Return what each setting of a cell did, in the order of the record."""
    return tuple(
        AppliedEffect(
            axis=effect.axis,
            value=effect.value,
            summary=effect.summary,
            figures=write_figures(effect.figures),
        )
        for effect in samples.applied
    )


def write_figures(figures: Mapping[str, Figure]) -> tuple[NamedValue, ...]:
    """Return figures with units, pairs as one: `Bytes` `13 MiB → 4.2 MiB` `−68 %`."""
    rest, rows = dict(figures), []
    for name in figures:
        if name in rest:
            value = rest.pop(name)
            row = _join_change(name, value, rest) or _join_pair(name, value, rest)
            rows.append(row or NamedValue(name=_title(name), value=_choose_format(name)(value)))
    return tuple(rows)


def _join_change(name: str, value: Figure, rest: dict[str, Figure]) -> NamedValue | None:
    stem = name.removesuffix("_before")
    if stem == name or f"{stem}_after" not in rest:
        return None
    after, write = rest.pop(f"{stem}_after"), _choose_format(stem)
    note = ""
    if not isinstance(value, str) and not isinstance(after, str) and value:
        note = format_share(after / value - 1)
    return NamedValue(name=_title(stem), value=f"{write(value)} → {write(after)}", note=note)


def _join_pair(name: str, value: Figure, rest: dict[str, Figure]) -> NamedValue | None:
    for first, second in _PAIRS:
        other = name.removesuffix(first) + second
        if name.endswith(first) and other in rest:
            words = second.removeprefix("calls_")
            note = f"{_write_plain(rest.pop(other))} {words}"
            return NamedValue(name=_title(name), value=_write_plain(value), note=note)
    return None


def _title(name: str) -> str:
    text = name.removesuffix("_s").replace("_", " ")
    text = text.replace("onnx", "ONNX").replace("vae", "VAE").replace("lora", "LoRA")
    return text[:1].upper() + text[1:]


def _choose_format(name: str) -> Callable[[Figure], str]:
    """Return how a figure of this name is written; words stay as they are."""
    if name.endswith(_BYTES):
        return lambda value: format_value(value, "bytes")
    if name.endswith("_s"):
        return lambda value: format_value(value, "seconds")
    if name.endswith(_SHARES):
        return lambda value: format_value(value, "share")
    return _write_plain


def _write_plain(value: Figure) -> str:
    return format_value(value, "count" if isinstance(value, int) else "number")
