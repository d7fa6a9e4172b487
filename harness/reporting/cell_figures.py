"""A cell in a line, and its main figures."""

from harness.core.outcome import Peak
from harness.core.units import Absent
from harness.reporting.energy import energy_figures
from harness.reporting.facts import Facts
from harness.reporting.gated_losses import WorstLoss
from harness.reporting.loaded import LoadedRun
from harness.reporting.named import Named
from harness.reporting.paired import paired_baseline_s
from harness.reporting.payback import payback_figures
from harness.reporting.roofline import roofline_figures
from harness.reporting.sampling import analysis_words, prompts_judged
from harness.reporting.wording import (
    DASH,
    factor_interval,
    grouped,
    plural,
    rate,
    seconds,
    seconds_interval,
    share_interval,
    size,
    why,
)


def summarize(facts: Facts) -> str:
    """Return a cell in a line: its speed and worst loss, or why it has none."""
    if isinstance(facts.timing, Absent):
        return facts.reason
    parts = [f"{seconds(facts.timing.image_s.estimate)} per image"]
    if facts.standing != "baseline" and not isinstance(facts.timing.speedup, Absent):
        parts.append(factor_interval(facts.timing.speedup).split(" ")[0])
    if isinstance(facts.worst, WorstLoss):
        parts.append(f"worst loss {share_interval(facts.worst.loss)}")
    return " · ".join(parts)


def _call(loaded: LoadedRun, cell_id: str, batch: int) -> str:
    """Return what the latency is of, and what the baseline took in the same minutes."""
    paired_baseline = paired_baseline_s(loaded, cell_id)
    words = f"one call, {plural(batch, 'image')}"
    return words if paired_baseline is None else f"{words}; the baseline beside it {seconds(paired_baseline)} an image"


def _memory(peak: Peak | Absent) -> Named:
    """Return the peak with what counted it."""
    if isinstance(peak, Absent):
        return Named(name="Peak memory", value=size(peak), note=why(peak))
    return Named(name="Peak memory", value=size(peak.count), note=peak.counter)


def list_figures(loaded: LoadedRun, facts: Facts) -> tuple[Named, ...]:
    """Return a cell's main figures, each with its interval or reason."""
    timing = facts.timing
    if isinstance(timing, Absent):
        return ()
    calls = str(facts.denoiser_calls) if not isinstance(facts.denoiser_calls, Absent) else DASH
    made = [
        Named(name="Latency", value=seconds_interval(timing.latency_s), note=_call(loaded, facts.id, timing.batch)),
        Named(name="Throughput", value=f"{rate(timing.throughput)} images/s"),
        Named(name="Speedup", value=factor_interval(timing.speedup), note=why(timing.speedup)),
        Named(name="Cold start", value=seconds(timing.cold.total_s), note="until the first image"),
        *payback_figures(loaded, facts),
        _memory(facts.peak_memory),
        Named(name="Denoiser calls", value=calls, note="counted"),
        *(
            (*energy_figures(loaded, facts, cell), *roofline_figures(cell))
            if (cell := loaded.completed(facts.id))
            else ()
        ),
    ]
    if facts.images:
        prompts = prompts_judged(loaded, facts.id)
        judged = f"judged on {plural(prompts, 'prompt')}" if prompts else ""
        notes = (judged, analysis_words(loaded, facts.id))
        made.append(Named(name="Images", value=grouped(facts.images), note=", ".join(note for note in notes if note)))
    if isinstance(facts.worst, WorstLoss):
        made.insert(3, Named(name="Worst loss", value=share_interval(facts.worst.loss), note=facts.worst.metric))
    return tuple(made)
