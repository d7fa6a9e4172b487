"""What a run shows of a rule's quantity: an estimate with bounds and p-values, or why not."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.core.cost import Cost, image_cost
from harness.core.outcome import Completed
from harness.core.quality import Definition, Uncertainty
from harness.core.rule import Quantity, Rule
from harness.core.units import Absent
from harness.results import CellResult
from harness.results.format import plural
from harness.stats.confidence import lower_bound, p_value, standard_error, transform, upper_bound
from harness.stats.proportions import share_lower, share_upper
from harness.stats.speedup import MIN_ROUNDS_FOR_VERDICT, compute_precision

GIB = 2**30
NOT_EVALUATED = (
    "it was not evaluated: add it to quality.metrics and run harness bench (measured cells are"
    " taken over)"
)


class Reading(ABC):
    """An observed value; `has_interval` is False for a plain number."""

    observed: float
    has_interval: bool = True

    @abstractmethod
    def lower(self, level: float) -> float:
        """Return the one-sided lower bound at `level`."""

    @abstractmethod
    def upper(self, level: float) -> float:
        """Return the one-sided upper bound at `level`."""

    @abstractmethod
    def p_below(self, limit: float) -> float:
        """Return the p-value of H0 "at or above `limit`": small if surely below."""

    @abstractmethod
    def p_above(self, limit: float) -> float:
        """Return the p-value of H0 "at or below `limit`": small if surely above."""


@dataclass(frozen=True)
class DistributionReading(Reading):
    """An estimate with its confidence distribution."""

    observed: float
    distribution: Uncertainty

    @property
    def error(self) -> float:
        """The standard error, for planning."""
        return standard_error(self.distribution)

    def lower(self, level: float) -> float:
        return lower_bound(self.distribution, level)

    def upper(self, level: float) -> float:
        return upper_bound(self.distribution, level)

    def p_below(self, limit: float) -> float:
        return p_value(self.distribution, limit)

    def p_above(self, limit: float) -> float:
        return 1 - p_value(self.distribution, limit)


@dataclass(frozen=True)
class TimedReading(DistributionReading):
    """A time, or a figure made of one; `samples` counts what it rests on: `12 blocks`."""

    samples: str


@dataclass(frozen=True)
class SingleReading(Reading):
    """A figure of too few samples to have bounds: it decides nothing."""

    observed: float
    samples: str

    def lower(self, level: float) -> float:
        return 0.0

    def upper(self, level: float) -> float:
        return math.inf

    def p_below(self, limit: float) -> float:
        return 1.0

    def p_above(self, limit: float) -> float:
        return 1.0


@dataclass(frozen=True)
class PlainReading(Reading):
    """A number without an interval; `what` names its counter."""

    observed: float
    has_interval: bool = False
    what: str = ""

    def lower(self, level: float) -> float:
        return self.observed

    def upper(self, level: float) -> float:
        return self.observed

    def p_below(self, limit: float) -> float:
        return 0.0 if self.observed <= limit else 1.0

    def p_above(self, limit: float) -> float:
        return 0.0 if self.observed >= limit else 1.0


@dataclass(frozen=True)
class ShareReading(Reading):
    """A count of images with `seeds` images per prompt.

    Prompts are the unit, for all images of one may break together.
    """

    count: int
    images: int
    seeds: int = 1

    @property
    def observed(self) -> float:  # type: ignore[override]
        return self.count / self.images

    @property
    def units(self) -> int:
        return self.images // self.seeds

    @property
    def error(self) -> float:
        """The standard error for planning; with half a broken image more, so it is never 0."""
        share = (self._most + 0.5) / (self.units + 1)
        return float((share * (1 - share) / self.units) ** 0.5)

    @property
    def _most(self) -> int:
        return min(-(-self.count // self.seeds), self.units)

    @property
    def _least(self) -> int:
        return self.count // self.seeds

    def lower(self, level: float) -> float:
        return share_lower(self._least, self.units, level)

    def upper(self, level: float) -> float:
        return share_upper(self._most, self.units, level)

    def p_below(self, limit: float) -> float:
        from scipy.special import bdtr

        return float(bdtr(self._most, self.units, limit))

    def p_above(self, limit: float) -> float:
        from scipy.special import bdtr

        return 1 - float(bdtr(self._least - 1, self.units, limit)) if self._least else 1.0


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
        reading = DistributionReading(score.value.estimate, score.uncertainty)
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
    reading = DistributionReading(shown.estimate, spread)
    return Observation(reading, delta.definition, delta.prompts, few)


def _observe_tail(cell: CellResult, rule: Rule, metric: str) -> Observation:
    tail = cell.tail
    if tail is None:
        return Observation(Absent(absent="the cell was not evaluated: run harness evaluate again"))
    seeds = len(cell.run.plan.matrix.seeds)
    prompts = tail.n // seeds
    if rule.quantity == "broken-share":
        return Observation(ShareReading(tail.broken, tail.n, seeds), prompts=prompts)
    if metric in tail.worst_decile:
        return Observation(PlainReading(tail.worst_decile[metric]), prompts=prompts)
    if metric in cell.deltas:
        return Observation(Absent(absent="this metric has no values of single images"))
    return _not_scored(cell, metric)


def _not_scored(cell: CellResult, metric: str) -> Observation:
    return Observation(cell.run.missing_metric(metric) or Absent(absent=NOT_EVALUATED))


def _read_latency(cell: CellResult, compute: Callable[[float], float] = float) -> Reading | Absent:
    """Return a figure that rises or falls with the median seconds of a call."""
    latency = cell.latency
    if isinstance(latency, Absent):
        return latency
    observed = compute(latency.median_s.estimate)
    several = latency.blocks > 1
    samples = plural(latency.blocks, "block") if several else plural(latency.calls, "call")
    if isinstance(latency.spread, Absent):
        return SingleReading(observed, samples)
    return TimedReading(observed, transform(latency.spread, compute), samples)


def _read_speedup(cell: CellResult, samples: Completed) -> Reading | Absent:
    found = cell.ratio
    if isinstance(found, Absent):
        return found
    rounds, blocks = found.rounds, len(samples.pairing.of("cell"))
    counted = plural(rounds, "measurement round") if rounds else plural(blocks, "block")
    if isinstance(found.spread, Absent):
        return SingleReading(found.estimate, counted)
    return TimedReading(found.estimate, found.spread, counted)


def _read_cold_start(cell: CellResult, samples: Completed) -> Reading | Absent:
    cold = samples.cold_start
    return cold if isinstance(cold, Absent) else PlainReading(cold.total_s)


def _read_peak_memory(cell: CellResult, samples: Completed) -> Reading | Absent:
    """Only the counter that counted the baseline's is valid: others count less."""
    peak = cell.peak_memory
    if isinstance(peak, Absent):
        return peak
    if other := cell.counter_difference:
        return Absent(absent=f"only the memory {peak.counter} is known, of the baseline {other}")
    return PlainReading(peak.count / GIB, what=peak.counter)


def _read_energy(cell: CellResult, samples: Completed) -> Reading | Absent:
    return cell.energy_j if isinstance(cell.energy_j, Absent) else PlainReading(cell.energy_j)


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
        return SingleReading(half_width, plural(count, noun))
    return PlainReading(half_width)


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
        return PlainReading(sum(bool(state.slowed) for state in known) / len(known))
    signs = (sign for state in states for sign in (state.throttle, state.cpu_throttled))
    reasons = dict.fromkeys(sign.absent for sign in signs if isinstance(sign, Absent))
    return Absent(absent="; ".join(reasons) or "no timed calls")


def _read_traced_steps(cell: CellResult, samples: Completed) -> Reading | Absent:
    trace = samples.trace
    if isinstance(trace, Absent):
        command = f"harness profile {cell.run.plan.run_id} {cell.id}"
        return Absent(absent=f"{trace.absent}; take one with {command}")
    return PlainReading(trace.steps)


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
}
