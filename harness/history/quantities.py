"""Quantities of a history: each figure of a cell that is followed from night to night."""

import hashlib
from collections.abc import Iterator
from functools import cache
from statistics import fmean
from typing import Literal

from harness.core.base import Frozen
from harness.core.quality import Delta, Interval
from harness.core.timing import Block
from harness.core.units import Absent
from harness.results.cell import CellResult
from harness.results.format import Unit
from harness.stats.proportions import share_lower, share_upper

Figure = tuple[str, float, float, float, str]
"""Quantity, value, ends of its 95 % interval (equal to the value without one), and its basis."""
LATENCY, COLD_START, LOSS = "latency", "cold_start", "/loss"
STAGE, PART, CONDITION = "stage/", "cold start/", "condition/"
"""Figures that explain a latency, a cold start, and either."""
CONDITIONS = {
    "GPU clock (MHz)": "clock_mhz",
    "CPU clock (MHz)": "cpu_mhz",
    "GPU temperature (°C)": "temperature_c",
    "load of other programs": "cpu_load",
}
"""What is recorded of the machine during a cell's blocks, and its field."""
SLOWED_BLOCKS = "share of blocks slowed for heat or power"
_NEUTRAL = ("none", "default", "auto")


class Quantity(Frozen):
    """A figure that is followed: a higher value is worse for all of them.

    `scale` says how a change is measured: `relative` as a ratio of levels (latency), `absolute` as
    their difference (a loss or a share). Figures that are not `watched` explain changes only.
    """

    name: str
    title: str
    unit: Unit
    scale: Literal["relative", "absolute"] = "relative"
    watched: bool = True

    @property
    def worse(self) -> Literal["higher"]:
        """The direction that is worse."""
        return "higher"


QUANTITIES = (
    Quantity(name=LATENCY, title="Normalized latency", unit="seconds"),
    Quantity(name=COLD_START, title="Cold start", unit="seconds"),
    Quantity(name="peak_memory", title="Peak memory", unit="bytes"),
    Quantity(name="energy", title="Energy per image", unit="joules"),
    Quantity(name="broken_share", title="Broken images", unit="share", scale="absolute"),
)
"""The quantities that do not depend on a metric. The latency of the baseline is its own raw one:
the line of the machine."""

_EXPLAINING: dict[str, Unit] = {STAGE: "seconds", PART: "seconds", CONDITION: "number"}


@cache
def find_quantity(name: str) -> Quantity:
    """Return a quantity by name; KeyError for an unknown one."""
    for quantity in QUANTITIES:
        if quantity.name == name:
            return quantity
    if name.endswith(LOSS):
        metric = name.removesuffix(LOSS)
        return Quantity(name=name, title=f"{metric} loss", unit="share", scale="absolute")
    for prefix, unit in _EXPLAINING.items():
        if name.startswith(prefix):
            return Quantity(name=name, title=name.removeprefix(prefix), unit=unit, watched=False)
    raise KeyError(name)


def read_figures(cell: CellResult) -> Iterator[Figure]:
    """Yield every figure of a cell that can be followed; absent ones are left out."""
    if cell.samples is None:
        return
    here = _describe(cell)
    against = "" if cell.is_baseline else f"; baseline={_describe_settings(cell.run.baseline)}"
    normalized = cell.normalized
    if not isinstance(normalized, Absent):
        yield _figure(LATENCY, normalized.image_s, here + against)
    if not isinstance(cell.cold_start, Absent):
        yield _point(COLD_START, cell.cold_start.total_s, here)
    memory = cell.peak_memory
    if not isinstance(memory, Absent):
        yield _point("peak_memory", memory.count, f"{here}; counter={memory.counter}")
    if not isinstance(cell.energy_j, Absent):
        yield _point("energy", cell.energy_j, here)
    if cell.tail is not None and cell.tail.n:
        broken, n = cell.tail.broken, cell.tail.n
        ends = (share_lower(broken, n, 0.975), share_upper(broken, n, 0.975))
        yield ("broken_share", broken / n, *ends, f"{here}; {_describe_images(cell)}")
    for delta in () if cell.is_baseline else cell.deltas.values():
        if isinstance(delta.loss, Interval):
            basis = f"{here}{against}; {_describe_images(cell)}; {_describe_metric(delta)}"
            yield _figure(delta.metric + LOSS, delta.loss, basis)
    yield from _read_explanations(cell, here)


def _read_explanations(cell: CellResult, basis: str) -> Iterator[Figure]:
    """Yield figures that explain changes: parts of a call and of a cold start, clocks, load."""
    if not isinstance(cell.stages_s, Absent):
        for stage, seconds in cell.stages_s.items():
            yield _point(STAGE + stage, seconds, basis)
    if not isinstance(cell.cold_start, Absent):
        for part, seconds in cell.cold_start.model_dump().items():
            yield _point(PART + part.removesuffix("_s").replace("_", " "), seconds, basis)
    assert cell.samples is not None
    blocks = cell.samples.pairing.of("cell")
    for title, field in CONDITIONS.items():
        if known := _known(blocks, field):
            yield _point(CONDITION + title, fmean(known), basis)
    if blocks:
        slowed = fmean(bool(block.conditions.slowed) for block in blocks)
        yield _point(CONDITION + SLOWED_BLOCKS, slowed, basis)


def _known(blocks: tuple[Block, ...], field: str) -> list[float]:
    values = (getattr(block.conditions, field) for block in blocks)
    return [value for value in values if not isinstance(value, Absent)]


def _figure(name: str, value: Interval, basis: str) -> Figure:
    return (name, value.estimate, value.low, value.high, basis)


def _point(name: str, value: float, basis: str) -> Figure:
    return (name, float(value), float(value), float(value), basis)


def _describe(cell: CellResult) -> str:
    """Return what a cell is, independent of versions and of axes that do nothing in it."""
    model = cell.run.plan.model
    return f"cell={_describe_settings(cell)}; model={model.family} {model.width}x{model.height}"


def _describe_settings(cell: CellResult) -> str:
    settings = cell.planned.cell.settings
    return " ".join(f"{each.axis}:{each}" for each in settings if str(each) not in _NEUTRAL)


def _describe_images(cell: CellResult) -> str:
    plan = cell.run.plan
    texts = [(prompt.text, prompt.negative) for prompt in plan.prompts]
    seeds = ",".join(map(str, plan.matrix.seeds))
    return f"prompts={_digest(repr(texts))}; seeds={seeds}"


def _describe_metric(delta: Delta) -> str:
    definition = delta.definition.model_dump_json(exclude={"notes"})
    return f"definition of {delta.metric}={_digest(definition)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def describe_difference(before: str, after: str) -> str:
    """Return what differs between two bases: `baseline: steps:50 → steps:30`."""
    mine, theirs = (
        dict(part.partition("=")[::2] for part in basis.split("; ")) for basis in (before, after)
    )
    return "; ".join(
        f"{key}: {_shorten(mine.get(key, ''), theirs.get(key, ''))}"
        for key in dict.fromkeys((*mine, *theirs))
        if mine.get(key) != theirs.get(key)
    )


def _shorten(before: str, after: str) -> str:
    """Return `before → after` with the words that are in one of them only."""
    first, second = before.split(), after.split()
    gone = " ".join(word for word in first if word not in second)
    came = " ".join(word for word in second if word not in first)
    return f"{gone or 'none'} → {came or 'none'}"
