"""What a run shows of a rule's quantity: an estimate with bounds and p-values, or why not."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from harness.core.cost import Cost, image_cost
from harness.core.outcome import Completed
from harness.core.quality import Definition, Uncertainty
from harness.core.rule import Quantity, Rule
from harness.core.units import Absent, plural
from harness.results import CellResult
from harness.stats.confidence import lower_bound, p_value, standard_error, transform, upper_bound
from harness.stats.proportions import share_lower, share_upper
from harness.stats.speedup import MIN_ROUNDS_FOR_VERDICT, compute_precision

GIB = 2**30
NOT_EVALUATED = (
    "it was not evaluated: add it to quality.metrics and run harness bench (measured cells are"
    " taken over)"
)


class Panel(NamedTuple):
    """The size of a human review."""

    pairs: int
    raters: int


@dataclass(frozen=True)
class Reading:
    """An observed value with one-sided bounds at any level, and p-values at any limit.

    `p_below` is of H0 "at or above the limit" and small if surely below, `p_above` the reverse.
    """

    observed: float
    lower: Callable[[float], float]
    upper: Callable[[float], float]
    p_below: Callable[[float], float]
    p_above: Callable[[float], float]
    error: float | None = None
    """The standard error, for planning; None if more prompts would not change it."""
    samples: str = ""
    """What a time rests on: `12 blocks`; of a human review `60 pairs by 3 raters`."""
    panel: Panel | None = None
    note: str = ""
    """What was counted, or how."""
    has_interval: bool = True


def read_distribution(observed: float, spread: Uncertainty, samples: str = "") -> Reading:
    """Return an estimate with its confidence distribution."""
    return Reading(
        observed,
        lower=lambda level: lower_bound(spread, level),
        upper=lambda level: upper_bound(spread, level),
        p_below=lambda limit: p_value(spread, limit),
        p_above=lambda limit: 1 - p_value(spread, limit),
        error=standard_error(spread),
        samples=samples,
    )


def read_few(observed: float, samples: str) -> Reading:
    """Return a figure of too few samples to have bounds: it decides nothing."""
    return Reading(
        observed,
        lower=lambda _: 0.0,
        upper=lambda _: math.inf,
        p_below=lambda _: 1.0,
        p_above=lambda _: 1.0,
        samples=samples,
    )


def read_number(observed: float, note: str = "") -> Reading:
    """Return a number without an interval."""
    return Reading(
        observed,
        lower=lambda _: observed,
        upper=lambda _: observed,
        p_below=lambda limit: 0.0 if observed <= limit else 1.0,
        p_above=lambda limit: 0.0 if observed >= limit else 1.0,
        note=note,
        has_interval=False,
    )


def read_broken_share(broken: int, images: int, seeds: int) -> Reading:
    """Return a share of broken images: prompts are the unit, for all images of one may break."""
    from scipy.special import bdtr

    units = images // seeds
    least, most = broken // seeds, min(-(-broken // seeds), units)
    share = (most + 0.5) / (units + 1)  # half a broken image more: never an error of 0
    return Reading(
        broken / images,
        lower=lambda level: share_lower(least, units, level),
        upper=lambda level: share_upper(most, units, level),
        p_below=lambda limit: float(bdtr(most, units, limit)),
        p_above=lambda limit: 1 - float(bdtr(least - 1, units, limit)) if least else 1.0,
        error=(share * (1 - share) / units) ** 0.5,
        note=f"{broken:,} of {images:,} images are broken",
    )


class Observation(NamedTuple):
    """A reading with the metric's definition and the prompts behind it.

    `resolved_from`: the prompts from which on its bounds need no allowance for few images.
    """

    reading: Reading | Absent
    definition: Definition | None = None
    prompts: int | None = None
    resolved_from: int | None = None


def observe(cell: CellResult, rule: Rule, metric: str) -> Observation:
    """Return what a rule judges of a cell, for `metric` if the quantity belongs to one."""
    if rule.quantity in ("loss", "change"):
        return _observe_delta(cell, rule, metric)
    if rule.quantity == "score":
        score = cell.scores.get(metric)
        if score is None:
            return _not_scored(cell, metric)
        reading = read_distribution(score.value.estimate, score.uncertainty)
        return Observation(reading, score.definition, score.prompts)
    if rule.quantity in ("worst-decile", "broken-share"):
        return _observe_tail(cell, rule, metric)
    if cell.samples is None:
        return Observation(Absent(absent="the cell did not complete"))
    return Observation(_MEASURED[rule.quantity](cell, cell.samples))


def _observe_delta(cell: CellResult, rule: Rule, metric: str) -> Observation:
    delta = cell.deltas.get(metric)
    if delta is None:
        return _not_scored(cell, metric)
    figures = delta.figures(rule.quantity)
    if isinstance(figures, Absent):
        return Observation(figures, delta.definition)
    shown, spread = figures
    few = delta.resolved_from if rule.quantity == "loss" else None
    reading = read_distribution(shown.estimate, spread)
    return Observation(reading, delta.definition, delta.prompts, few)


def _observe_tail(cell: CellResult, rule: Rule, metric: str) -> Observation:
    tail = cell.tail
    if tail is None:
        return Observation(Absent(absent="the cell was not evaluated: run harness evaluate again"))
    seeds = len(cell.run.plan.matrix.seeds)
    prompts = tail.n // seeds
    if rule.quantity == "broken-share":
        return Observation(read_broken_share(tail.broken, tail.n, seeds), prompts=prompts)
    if metric in tail.worst_decile:
        return Observation(read_number(tail.worst_decile[metric]), prompts=prompts)
    if metric in cell.deltas:
        return Observation(Absent(absent="this metric has no values of single images"))
    return _not_scored(cell, metric)


def _not_scored(cell: CellResult, metric: str) -> Observation:
    return Observation(cell.run.missing_metric(metric) or Absent(absent=NOT_EVALUATED))


def _read_preference(cell: CellResult) -> Reading | Absent:
    found = cell.preference
    if isinstance(found, Absent):
        return found
    observed, panel = found.share.estimate, Panel(found.pairs, len(found.counted))
    if panel.raters < 2:  # says nothing about other people, whatever its interval
        return replace(read_few(observed, found.samples), panel=panel)
    return replace(read_distribution(observed, found.uncertainty, found.samples), panel=panel)


def _read_latency(cell: CellResult, compute: Callable[[float], float] = float) -> Reading | Absent:
    """Return a figure that rises or falls with the median seconds of a call."""
    latency = cell.latency
    if isinstance(latency, Absent):
        return latency
    observed = compute(latency.median_s.estimate)
    several = latency.blocks > 1
    samples = plural(latency.blocks, "block") if several else plural(latency.calls, "call")
    if isinstance(latency.spread, Absent):
        return read_few(observed, samples)
    return read_distribution(observed, transform(latency.spread, compute), samples)


def _read_speedup(cell: CellResult, samples: Completed) -> Reading | Absent:
    found = cell.ratio
    if isinstance(found, Absent):
        return found
    rounds, blocks = found.rounds, len(samples.pairing.of("cell"))
    counted = plural(rounds, "measurement round") if rounds else plural(blocks, "block")
    if isinstance(found.spread, Absent):
        return read_few(found.estimate, counted)
    return read_distribution(found.estimate, found.spread, counted)


def _read_cold_start(cell: CellResult, samples: Completed) -> Reading | Absent:
    cold = samples.cold_start
    return cold if isinstance(cold, Absent) else read_number(cold.total_s)


def _read_peak_memory(cell: CellResult, samples: Completed) -> Reading | Absent:
    """Only the counter that counted the baseline's is valid: others count less."""
    peak = cell.peak_memory
    if isinstance(peak, Absent):
        return peak
    if other := cell.counter_difference:
        return Absent(absent=f"only the memory {peak.counter} is known, of the baseline {other}")
    return read_number(peak.count / GIB, note=peak.counter)


def _read_energy(cell: CellResult, samples: Completed) -> Reading | Absent:
    return cell.energy_j if isinstance(cell.energy_j, Absent) else read_number(cell.energy_j)


def _read_cost(cell: CellResult, samples: Completed) -> Reading | Absent:
    """The cost of the median call; its energy is the mean, as counters are coarse."""
    plan = cell.run.plan

    def price(call_s: float) -> Cost | Absent:
        return image_cost(plan.matrix.prices, plan.machine, call_s / samples.batch, cell.energy_j)

    def amount(call_s: float) -> float:
        cost = price(call_s)
        assert isinstance(cost, Cost)  # whether there is a price does not depend on the seconds
        return cost.amount

    absent = price(1.0)
    return absent if isinstance(absent, Absent) else _read_latency(cell, amount)


def _read_precision(cell: CellResult, samples: Completed) -> Reading | Absent:
    """Few rounds are precise by chance, so their width decides nothing."""
    half_width, count = compute_precision(samples.pairing)
    if half_width is None:
        return Absent(absent="too few blocks were timed to know the precision: raise measure.max_s")
    if count < MIN_ROUNDS_FOR_VERDICT:
        interleaved = samples.pairing.kind == "interleaved"
        noun = "measurement round" if interleaved else "block"
        return read_few(half_width, plural(count, noun))
    return read_number(half_width)


def _read_throttled(cell: CellResult, samples: Completed) -> Reading | Absent:
    """Blocks that report neither GPU nor CPU throttling do not count."""
    pairing = samples.pairing
    states = [block.conditions for side in ("baseline", "cell") for block in pairing.of(side)]
    known = [
        state
        for state in states
        if not (isinstance(state.throttle, Absent) and isinstance(state.cpu_throttled, Absent))
    ]
    if known:
        return read_number(sum(bool(state.slowed) for state in known) / len(known))
    signs = (sign for state in states for sign in (state.throttle, state.cpu_throttled))
    reasons = dict.fromkeys(sign.absent for sign in signs if isinstance(sign, Absent))
    return Absent(absent="; ".join(reasons) or "no timed calls")


def _read_traced_steps(cell: CellResult, samples: Completed) -> Reading | Absent:
    trace = samples.trace
    if isinstance(trace, Absent):
        command = f"harness profile {cell.run.plan.run_id} {cell.id}"
        return Absent(absent=f"{trace.absent}; take one with {command}")
    return read_number(trace.steps)


_MEASURED: Mapping[Quantity, Callable[[CellResult, Completed], Reading | Absent]] = {
    "latency-s": lambda cell, _: _read_latency(cell),
    "throughput": lambda cell, samples: _read_latency(cell, lambda s: samples.batch / s),
    "speedup": _read_speedup,
    "cold-start-s": _read_cold_start,
    "peak-memory-gib": _read_peak_memory,
    "energy-j": _read_energy,
    "image-cost": _read_cost,
    "timing-precision": _read_precision,
    "throttled-share": _read_throttled,
    "traced-steps": _read_traced_steps,
    "human-preference": lambda cell, _: _read_preference(cell),
}
