"""The results as a table: one row a cell, for pandas and for results.csv."""

import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.policy import limit_words
from harness.core.quality import Delta, Interval, Tail
from harness.core.units import Absent
from harness.core.verdict import RuleVerdict
from harness.reporting.applied_effects import applied_columns
from harness.reporting.energy import energy_columns
from harness.reporting.facts import Facts, Timing, all_facts
from harness.reporting.loaded import LoadedRun, load
from harness.reporting.measured_columns import measured_absences, measured_columns
from harness.reporting.memory import memory_columns
from harness.reporting.pareto import Point, list_points
from harness.reporting.roofline import roofline_columns
from harness.reporting.sampling import find_interim_analysis, prompts_judged

if TYPE_CHECKING:
    import pandas

Value = str | int | float | bool | None
Row = dict[str, Value]


def _interval(name: str, value: Interval | Absent) -> Row:
    if isinstance(value, Absent):
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    return {name: value.estimate, f"{name}_low": value.low, f"{name}_high": value.high}


def _timing_columns(timing: Timing) -> Row:
    row = _interval("latency_s", timing.latency_s)
    row |= {"p95_s": timing.p95_s, "images_per_s": timing.throughput, "images_per_call": timing.batch}
    row |= _interval("speedup", timing.speedup)
    row |= {f"stage_{stage}_s": seconds for stage, seconds in timing.stages_s.items()}
    row |= {f"cold_{part}": getattr(timing.cold, part) for part in type(timing.cold).model_fields}
    made = timing.payback
    images = made if isinstance(made, Absent) else made.images
    return row | {
        "build_cost_s": timing.build_cost_s,
        "break_even_images": None if isinstance(images, Absent) else images,
        "break_even_against": None if isinstance(made, Absent) else made.against,
    }


def _metric_columns(delta: Delta) -> Row:
    row = _interval(f"{delta.metric}/literal", delta.literal) | _interval(f"{delta.metric}/loss", delta.loss)
    return row | {f"{delta.metric}/gates": delta.gates}


def _absences(loaded: LoadedRun, facts: Facts, deltas: list[Delta]) -> str:
    """Return every absent figure of a row with its reason, so that an empty field is never a riddle."""
    named: list[tuple[str, object]] = [
        ("timing", facts.timing),
        ("peak_memory_bytes", facts.peak_memory),
        ("weights_bytes", facts.weights_bytes),
        ("worst_loss", facts.worst),
    ]
    if isinstance(facts.timing, Timing):
        made = facts.timing.payback
        named.append(("break_even_images", made if isinstance(made, Absent) else made.images))
        named.append(("speedup", facts.timing.speedup))
    if cell := loaded.completed(facts.id):
        named += measured_absences(loaded, facts, cell)
    named += [(f"{delta.metric}/literal", delta.literal) for delta in deltas]
    named += [(f"{delta.metric}/loss", delta.loss) for delta in deltas]
    return "; ".join(f"{name}: {value.absent}" for name, value in named if isinstance(value, Absent))


def _name(judged: RuleVerdict) -> str:
    """Return what a rule judged: a loss by its metric alone, as the columns of the loss itself are named."""
    rule = judged.rule
    what = judged.metric if rule.quantity == "loss" else f"{judged.metric}/{rule.quantity}".lstrip("/")
    return what if rule.severity == "error" else f"{what}/warning"


def _verdict_columns(judged: RuleVerdict) -> Row:
    """Return a rule's verdict with the one-sided bounds it rests on, in the quantity's own unit."""
    fields: Row = {"result": judged.result, "observed": judged.observed}
    fields |= {"lower_bound": _finite(judged.lower), "upper_bound": _finite(judged.upper), "p_value": judged.p_value}
    fields |= {"limit": limit_words(judged.rule), "prompts_needed": judged.prompts_needed}
    return {f"{_name(judged)}/{field}": value for field, value in fields.items()}


def _finite(bound: float | None) -> float | None:
    return bound if bound is not None and math.isfinite(bound) else None


def _tail_columns(tail: Tail | None) -> Row:
    if tail is None:
        return {}
    row: Row = {"broken_images": tail.broken, "broken_share_high": tail.broken_share_high}
    return row | {f"{metric}/worst_decile": value for metric, value in tail.worst_decile.items()}


def _row(loaded: LoadedRun, facts: Facts, points: dict[str, Point]) -> Row:
    deltas = loaded.deltas(facts.id)
    row: Row = {"cell": facts.id, "role": facts.planned.role, "standing": facts.standing, "reason": facts.reason}
    row |= facts.planned.cell.by_axis
    if isinstance(facts.timing, Timing):
        row |= _timing_columns(facts.timing)
    peak = None if isinstance(facts.peak_memory, Absent) else facts.peak_memory
    row |= {"peak_memory_bytes": peak.count if peak else None, "peak_memory_counter": peak.counter if peak else None}
    for name in ("weights_bytes", "denoiser_calls"):
        value = getattr(facts, name)
        row[name] = None if isinstance(value, Absent) else value
    cell = loaded.completed(facts.id)
    if cell:
        row |= measured_columns(loaded, facts, cell)
        row |= memory_columns(cell)
        row |= energy_columns(loaded, facts, cell)
        row |= roofline_columns(cell)
        row |= applied_columns(cell)
    row |= {
        "images": facts.images,
        "prompts": prompts_judged(loaded, facts.id),
        "interim_analysis": find_interim_analysis(loaded, facts.id),
    }
    point = points.get(facts.id)
    row |= {"front": point.front if point else None, "front_probability": point.chance if point else None}
    worst = facts.worst
    row["worst_metric"] = None if isinstance(worst, Absent) else worst.metric
    row |= _interval("worst_loss", worst if isinstance(worst, Absent) else worst.loss)
    for score in loaded.evaluation.scores if loaded.evaluation else ():
        if score.cell_id == facts.id:
            row |= _interval(f"{score.definition.metric}/score", score.value)
    for delta in deltas:
        row |= _metric_columns(delta)
    verdict = loaded.verdict(facts.id)
    for judged in verdict.rules if verdict else ():
        row |= _verdict_columns(judged)
    row |= _tail_columns(loaded.tail(facts.id))
    return row | {"verdict": verdict.result if verdict else None, "absent": _absences(loaded, facts, deltas)}


def rows(loaded: LoadedRun, facts: tuple[Facts, ...]) -> list[Row]:
    """Return one row a cell, all with the same columns; None where a figure is absent."""
    points = {point.cell_id: point for point in list_points(loaded, facts)}
    made = [_row(loaded, cell, points) for cell in facts]
    order = {"verdict": 1, "absent": 2}
    columns = sorted(dict.fromkeys(name for row in made for name in row), key=lambda name: order.get(name, 0))
    return [{name: row.get(name) for name in columns} for row in made]


def csv_text(table: list[Row]) -> str:
    """Return the rows as CSV with a header; an absent figure is an empty field."""
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(table[0]) if table else ["cell"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue()


def read_frame(run: Path) -> "pandas.DataFrame":
    """Return the results of a run as a pandas frame, one row a cell; ResultsError where they cannot be read.

    Times are in seconds, sizes in bytes, losses are shares. An absent figure is `pandas.NA`, and the column
    `absent` says why.
    """
    import pandas

    loaded = load(run)
    table = rows(loaded, all_facts(loaded))
    return pandas.DataFrame(table).convert_dtypes()
