"""Every column of a run's results, declared once: for results.csv, frames and report tables."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from harness.core.outcome import ColdStart, Completed, Memory
from harness.core.policy import limit_words
from harness.core.quality import Interval
from harness.core.timing import UNKNOWN
from harness.core.units import Absent
from harness.core.verdict import RuleVerdict
from harness.results.cell import CellResult
from harness.results.format import Unit, Value, to_number
from harness.results.run import Run

if TYPE_CHECKING:
    import pandas

Field = str | int | float | bool | None
Row = dict[str, Field]


@dataclass(frozen=True)
class Column:
    """A named value of a cell.

    `value` computes it, or is the path of attributes to it: the first one that is absent or None
    on the way is the value. `title` heads the column in report tables.
    """

    name: str
    value: str | Callable[[CellResult], Value]
    unit: Unit = "text"
    title: str = ""
    has_interval: bool = False
    if_absent: Field = None
    """What stands in the field of an absent value."""

    def values(self, cell: CellResult) -> Mapping[str, Value]:
        value = self.read(cell)
        return _add_ends(self.name, value) if self.has_interval else {self.name: value}

    def read(self, cell: CellResult) -> Value:
        """Return the value of a cell."""
        if not isinstance(self.value, str):
            return self.value(cell)
        found: Any = cell
        for attribute in self.value.split("."):
            if found is None or isinstance(found, Absent):
                break
            found = getattr(found, attribute)
        return found  # type: ignore[no-any-return]


@dataclass(frozen=True)
class ColumnFamily:
    """Columns whose names depend on the run: axes, stages, metrics, rules."""

    values: Callable[[CellResult], Mapping[str, Value]]
    if_absent: Field = None


def make_rows(run: Run) -> list[Row]:
    """Return one row per cell, all with the same columns; None for what is absent."""
    made = [_make_row(cell) for cell in run.cells]
    last = {"verdict": 1, "absent": 2}
    names = dict.fromkeys(name for row in made for name in row)
    order = sorted(names, key=lambda name: last.get(name, 0))
    return [{name: row.get(name) for name in order} for row in made]


def make_frame(run: Run) -> "pandas.DataFrame":
    """Return the rows as a frame; absent values are `pandas.NA`."""
    import pandas

    return pandas.DataFrame(make_rows(run)).convert_dtypes()


def write_csv(run: Run) -> str:
    """Return the rows as CSV with a header; absent values are empty fields."""
    import csv
    import io

    rows, file = make_rows(run), io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]) if rows else ["cell"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _make_row(cell: CellResult) -> Row:
    row: Row = {}
    absences: list[str] = []
    for column in COLUMNS:
        for name, value in column.values(cell).items():
            row[name] = to_number(value)
            if isinstance(value, Absent):
                row[name] = column.if_absent if cell.samples else None
                absences.append(f"{name}: {value.absent}")
    if cell.samples is None:
        absences = [f"all figures: {cell.absence.absent}"]
    return row | {"absent": "; ".join(absences)}


def _add_ends(name: str, value: Value) -> Mapping[str, Value]:
    """Return a value with the ends of its interval, which have columns of their own."""
    low, high = (value.low, value.high) if isinstance(value, Interval) else (None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def name_memory_column(field: str) -> str:
    """Return the column of a memory figure; the driver's count and the start are no peaks."""
    return field if field in ("device_used_bytes", "resident_before_bytes") else f"peak_{field}"


def _machine_state(
    field: str, join: Callable[[list[float]], float]
) -> Callable[[CellResult], Value]:
    """Make the value of one figure of the machine's state, over all blocks that have it."""

    def read(samples: Completed) -> float | Absent:
        states = [block.conditions for block in samples.pairing.blocks] or [UNKNOWN]
        values: list[float | Absent] = [getattr(state, field) for state in states]
        known = [value for value in values if not isinstance(value, Absent)]
        return join(known) if known else values[0]

    return _measured(read)


def _measured(read: Callable[[Completed], Value]) -> Callable[[CellResult], Value]:
    """Make the value of a column that is computed from the samples of a completed cell."""
    return lambda cell: cell.absence if cell.samples is None else read(cell.samples)


def _list_stages(cell: CellResult) -> Mapping[str, Value]:
    stages = {} if isinstance(cell.stages_s, Absent) else cell.stages_s
    return {f"stage_{stage}_s": seconds for stage, seconds in stages.items()}


def _list_effects(cell: CellResult) -> Mapping[str, Value]:
    """Return the figures of each setting's effect, as they were recorded."""
    applied = cell.samples.applied if cell.samples else ()
    return {f"applied/{e.axis}/{name}": value for e in applied for name, value in e.figures.items()}


def _list_metrics(cell: CellResult) -> Mapping[str, Value]:
    found: dict[str, Value] = {}
    for metric, score in cell.scores.items():
        found |= _add_ends(f"{metric}/score", score.value)
    for metric, delta in cell.deltas.items():
        found |= _add_ends(f"{metric}/literal", delta.literal)
        found |= _add_ends(f"{metric}/loss", delta.loss)
        found[f"{metric}/gates"] = delta.gates
    return found


def _list_verdicts(cell: CellResult) -> Mapping[str, Value]:
    """Return each rule's verdict with its one-sided bounds, in the quantity's own unit."""
    found: dict[str, Value] = {}
    for judged in cell.verdict.rules if cell.verdict else ():
        fields: dict[str, Value] = {
            "result": judged.result,
            "observed": judged.observed,
            "lower_bound": _finite(judged.lower),
            "upper_bound": _finite(judged.upper),
            "p_value": judged.p_value,
            "limit": limit_words(judged.rule),
            "prompts_needed": judged.prompts_needed,
        }
        found |= {f"{_name_rule(judged)}/{field}": value for field, value in fields.items()}
    return found


def _name_rule(judged: RuleVerdict) -> str:
    """Return what a rule judged; of a loss the metric alone, like the loss's own columns."""
    rule = judged.rule
    quantity = "" if rule.quantity == "loss" else rule.quantity
    what = "/".join(part for part in (judged.metric, quantity) if part)
    return what if rule.severity == "error" else f"{what}/warning"


def _finite(bound: float | None) -> float | None:
    return bound if bound is not None and math.isfinite(bound) else None


def _list_worst_deciles(cell: CellResult) -> Mapping[str, Value]:
    deciles = cell.tail.worst_decile if cell.tail else {}
    return {f"{metric}/worst_decile": value for metric, value in deciles.items()}


def _read_preference(cell: CellResult) -> Value:
    """Return the share of answers that prefer a cell or see no difference, in reviewed runs."""
    if cell.is_baseline or not cell.run.reviews:
        return None
    found = cell.preference
    return found if isinstance(found, Absent) else found.share


COLUMNS: tuple[Column | ColumnFamily, ...] = (
    Column("cell", "id"),
    Column("role", "planned.role"),
    Column("standing", "standing"),
    Column("reason", "reason"),
    ColumnFamily(lambda cell: cell.planned.cell.by_axis),
    Column("latency_s", "latency.median_s", "seconds", "Latency", has_interval=True),
    Column("p95_s", "latency.p95_s", "seconds"),
    Column("images_per_s", "images_per_s", "rate", "Images/s"),
    Column("images_per_call", "timed.batch", "count"),
    Column("speedup", "speedup", "factor", "Speedup", has_interval=True),
    ColumnFamily(_list_stages),
    *(Column(f"cold_{part}", f"cold_start.{part}", "seconds") for part in ColdStart.model_fields),
    Column("build_cost_s", "build_cost_s", "seconds", "Build and compile"),
    Column("break_even_images", "break_even.images", "count", "Break-even images"),
    Column("break_even_against", "break_even.against"),
    Column("peak_memory_bytes", "peak_memory.count", "bytes", "Peak memory"),
    Column("peak_memory_counter", "peak_memory.counter"),
    Column("weights_bytes", "weights_bytes", "bytes", "Weights"),
    Column("denoiser_calls", "denoiser_calls", "count", "Denoiser calls"),
    Column("pairing", "samples.pairing.kind"),
    Column("blocks", _measured(lambda s: len(s.pairing.of("cell"))), "count"),
    Column("calls", _measured(lambda s: len(s.repeats)), "count"),
    Column(
        "blocks_timed_again",
        _measured(lambda s: sum(bool(b.superseded) for b in s.pairing.blocks)),
        "count",
    ),
    Column("timing_precision", "precision", "share"),
    Column(
        "blocks_slowed",
        _measured(lambda s: sum(bool(b.conditions.slowed) for b in s.pairing.blocks)),
        "count",
    ),
    Column("gpu_clock_mhz", _machine_state("clock_mhz", fmean)),
    Column("gpu_temperature_c", _machine_state("temperature_c", max)),
    Column("gpu_power_w", _machine_state("power_w", fmean)),
    Column("cpu_mhz", _machine_state("cpu_mhz", fmean)),
    Column("cpu_load", _machine_state("cpu_load", max), "share"),
    Column(
        "cautions",
        _measured(lambda s: ", ".join(dict.fromkeys(w.kind for w in s.warnings)) or None),
    ),
    Column(
        "traced",
        _measured(lambda s: s.trace if isinstance(s.trace, Absent) else True),
        if_absent=False,
    ),
    *(
        Column(name_memory_column(field), f"samples.memory.{field}", "bytes")
        for field in Memory.model_fields
    ),
    Column("energy_j", "energy_j", "joules", "Energy per image"),
    Column("image_cost", "priced", "thousand", "Cost of 1,000 images"),
    Column("currency", "priced.currency"),
    Column("denoiser_flops", "samples.roofline.flops", "count"),
    Column("product_flops_per_s", "samples.roofline.flops_per_s", "count"),
    Column("denoiser_roofline_s", "samples.roofline.seconds", "seconds"),
    ColumnFamily(_list_effects),
    Column("images", "image_count", "count", "Images"),
    Column("prompts", "prompts_judged", "count"),
    Column("interim_analysis", "interim_analysis", "count"),
    Column("front", "pareto_point.on_front"),
    Column("front_probability", "pareto_point.probability", "probability", "Pareto front"),
    Column("worst_metric", "worst_loss.metric"),
    Column("worst_loss", "worst_loss.loss", "share", "Worst loss", has_interval=True),
    ColumnFamily(_list_metrics),
    ColumnFamily(_list_verdicts),
    Column("broken_images", "tail.broken", "count", "Broken images"),
    Column("broken_share_high", "tail.broken_share_high", "share"),
    ColumnFamily(_list_worst_deciles),
    Column("human_preference", _read_preference, "share", "Human preference", has_interval=True),
    Column("waivers", "verdict.waiver_count", "count"),
    Column("verdict", "verdict.result"),
)
"""The columns of results.csv and of frames, in order."""
DERIVED = (
    Column("image_s", "image_s", "seconds", "Seconds per image"),
    Column("cold_start_s", "cold_start.total_s", "seconds", "Cold start"),
)
"""Columns of report tables that follow from other columns."""
BY_NAME = {column.name: column for column in (*COLUMNS, *DERIVED) if isinstance(column, Column)}
