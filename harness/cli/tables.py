"""Tables and lists of the command line: whole on a pipe, folded on a terminal, never cut."""

import io
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.core.machine import Machine
from harness.core.outcome import Completed, Outcome, Skipped, find_failure
from harness.core.plan import Plan, PlannedCell
from harness.core.policy import Policy, rule_words, sees_words
from harness.core.quality import Evaluation
from harness.core.units import Absent, format_bytes, format_percent, format_seconds
from harness.listing import FETCHED
from harness.measure.machine import Ability
from harness.metrics import WeightRow
from harness.planning import Power

UNLIMITED = 100_000
"""A width that no table reaches."""


def print_table(console: Console, table: Table) -> None:
    """Print a table: one line per row on a pipe, so that programs can search it; folded on a
    terminal."""
    for column in table.columns:
        column.overflow = "fold"
    if is_terminal(console):
        console.print(table)
        return
    text = io.StringIO()
    whole = Console(file=text, width=UNLIMITED, force_terminal=console.is_terminal, emoji=False)
    whole.print(table)
    console.file.writelines(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def is_terminal(console: Console) -> bool:
    """Return whether the console's file is a terminal; FORCE_COLOR colours a pipe but does not make
    it one."""
    return bool(getattr(console.file, "isatty", lambda: False)())


Row = dict[str, Any]


def axes_lines(rows: list[Row]) -> Iterator[str]:
    """Yield one line per value under its axis: summary, whether it runs here, and the reason or
    requirement."""
    name_width = max(len(row["value"]) for row in rows)
    summary_width = max(len(row["summary"]) for row in rows)
    for axis, values in groupby(rows, key=lambda row: row["axis"]):
        yield axis
        for row in values:
            runs, note = _here(row)
            value, summary = f"{row['value']:<{name_width}}", f"{row['summary']:<{summary_width}}"
            yield f"  {value}  {summary}  {runs:<3}  {note}".rstrip()


def value_lines(row: Row) -> Iterator[str]:
    """Yield every line on one value: options with defaults, requirements, whether it runs here."""
    runs, note = _here(row)
    yield f"{row['axis']} {row['value']}"
    yield f"  {row['summary']}"
    width = max(
        (len(f"{name} = {option['default']}") for name, option in row["options"].items()), default=0
    )
    for name, option in row["options"].items():
        setting = f"{name} = {option['default']}"
        yield f"    {setting:<{width}}  {option['about']}".rstrip()
    yield f"  here: {runs}" + (f", {note}" if note else "")


def _here(row: Row) -> tuple[str, str]:
    if row["here"] == FETCHED:
        return "yes", FETCHED
    if row["here"] != "yes":
        return "no", row["here"]
    return "yes", f"needs {row['needs']}" if row["needs"] else ""


def machine_lines(machine: Machine) -> Iterator[str]:
    """Yield the machine's lines: its title, its number formats, its system."""
    yield f"[bold]{escape(machine.title)}[/]"
    yield (
        "fp16: in hardware"
        if machine.native_fp16
        else "fp16: not in hardware: the baseline is fp32"
    )
    yield f"os: {escape(machine.os)}"
    yield f"python: {machine.python}"


def abilities_table(abilities: tuple[Ability, ...]) -> Table:
    """Return the conditions that the machine can measure, and the reason where one is absent."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column()
    for ability in abilities:
        found = ability.found
        shown = (
            f"[yellow]absent[/]: {escape(found.absent)}"
            if isinstance(found, Absent)
            else escape(found)
        )
        table.add_row(ability.what, shown)
    return table


def to_json(abilities: tuple[Ability, ...]) -> dict[str, str | dict[str, str]]:
    """Return the abilities as JSON data: text, or `{"absent": reason}`."""
    return {
        ability.what: ability.found.model_dump()
        if isinstance(ability.found, Absent)
        else ability.found
        for ability in abilities
    }


def policy_lines(policies: tuple[Policy, ...]) -> Iterator[tuple[str, str]]:
    """Yield the lines that describe some policies, each with its style: name, question, and the
    rules in words."""
    for policy in policies:
        yield policy.name, "bold"
        yield f"  {policy.about}", ""
        for rule in policy.gate:
            yield f"  - {rule_words(rule)}", "dim"
        if demanded := sees_words(policy):
            yield f"  - {demanded}", "dim"


def power_table(rows: tuple[Power, ...]) -> Table:
    """Return the power of a plan, one row for each cell and metric."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in (
        "cell",
        "metric",
        "seen",
        "decides with",
        "power here",
        "passes up to",
        "fails from",
        "detects",
    ):
        table.add_column(column, justify="left" if column in ("cell", "metric") else "right")
    for row in rows:
        table.add_row(
            row.cell_id,
            row.metric,
            "new cell" if row.seen is None else format_percent(row.seen),
            "too close to tell"
            if row.prompts_needed is None
            else f"{row.prompts_needed:,} prompts",
            format_percent(row.decides, 0),
            "none" if row.passes_up_to is None else format_percent(row.passes_up_to),
            format_percent(row.fails_from),
            format_percent(row.detects),
        )
    return table


def power_note(rows: tuple[Power, ...]) -> str:
    """Return the explanation of the power table."""
    pilot, most = min(row.pilot_prompts for row in rows), rows[0].prompts
    return (
        f"Based on the spread of {pilot} or more prompts; this plan has at most {most}. `decides "
        "with` assumes the"
        " observed loss (0 for a new cell). The last three columns are true losses that this "
        "plan passes, fails, or"
        " detects, each with 90 % probability."
    )


def headed_table(
    left: tuple[str, ...], right: tuple[str, ...] = (), last: tuple[str, ...] = ()
) -> Table:
    """Return an empty table with bold headings: columns aligned left, right, and left again."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in (*left, *right, *last):
        table.add_column(column, justify="right" if column in right else "left")
    return table


def outcomes_table(cells: Iterable[tuple[str, Outcome | None]], baseline: Outcome | None) -> Table:
    """Return the outcome of every cell with images, latency, speedup and memory."""
    table = headed_table(("cell",), ("images", "latency", "speedup", "memory"), ("outcome",))
    for cell_id, outcome in cells:
        table.add_row(*_outcome_row(cell_id, outcome, baseline))
    return table


def _outcome_row(cell_id: str, outcome: Outcome | None, baseline: Outcome | None) -> list[str]:
    failure = find_failure(outcome)
    broken = ""
    if failure is not None:
        broken = f"[red]failed[/] in {failure.phase}: {escape(failure.message.splitlines()[0])}"
        broken += f"\n[dim]{escape(failure.hint)}[/]"
    if isinstance(outcome, Completed):
        from harness.stats.latency import image_s  # imports numpy, so only when needed
        from harness.stats.speedup import over_baseline

        latency = image_s(outcome.pairing, outcome.batch)
        found = over_baseline(baseline if isinstance(baseline, Completed) else None, outcome)
        speedup = "" if isinstance(found, Absent) else f"{found.estimate:.2f}×"
        memory = outcome.memory.peak()
        shown = (
            "" if isinstance(memory, Absent) else f"{format_bytes(memory.count)} {memory.counter}"
        )
        state = f"no more images: {broken}" if broken else "completed"
        return [
            cell_id,
            str(len(outcome.images)),
            format_seconds(latency or 0.0),
            speedup,
            shown,
            state,
        ]
    if broken:
        return [cell_id, "", "", "", "", broken]
    reason = outcome.reason if isinstance(outcome, Skipped) else "not run yet"
    return [cell_id, "", "", "", "", f"[yellow]skipped[/]: {escape(reason)}"]


def deltas_table(evaluation: Evaluation) -> Table:
    """Return every delta with its interval, and whether it gates."""
    table = headed_table(("cell", "metric", "score", "baseline", "loss [95 %]", "gates"))
    for delta in evaluation.deltas:
        if isinstance(delta.loss, Absent):
            loss = f"[dim]{delta.loss.absent}[/]"
        else:
            low, high = format_percent(delta.loss.low), format_percent(delta.loss.high)
            loss = f"{format_percent(delta.loss.estimate)} [{low}, {high}]".replace("[", "\\[")
        gates = "yes" if delta.gates else f"[dim]{delta.why_not}[/]"
        table.add_row(
            delta.cell_id,
            delta.metric,
            f"{delta.candidate:.4g}",
            f"{delta.baseline:.4g}",
            loss,
            gates,
        )
    return table


def plan_table(plan: Plan) -> Table:
    """Return the cells of a plan with their state and estimate."""
    table = headed_table(("cell", "role", "state"), ("estimate",))
    for planned in plan.cells:
        state = f"[yellow]skipped[/]: {escape(planned.skip)}" if planned.skip else _ready(planned)
        estimate = "" if planned.skip else format_seconds(planned.estimate_s)
        table.add_row(planned.id, planned.role, state, estimate)
    return table


def _ready(planned: PlannedCell) -> str:
    size = sum(file.size_bytes for file in planned.downloads)
    return f"ready, fetches {format_bytes(size)}" if size else "ready"


STATES = {"found": "green", "shipped": "green", "wrong": "red", "missing": "yellow"}
CHECKS = {
    "": "",
    "sha256": "by its sha256",
    "prefix": "by the published first digits of its sha256",
    "hub": "by its name in the Hugging Face cache, a hash of its content",
}


def weight_lines(row: WeightRow) -> Iterator[str]:
    """Yield the state of a weight file, and advice if it is not usable."""
    size = format_bytes(row.size_bytes) if row.size_bytes is not None else ""
    yield f"[{STATES[row.state]}]{row.state:>7}[/]  [bold]{escape(row.file)}[/]  {size}".rstrip()
    lines = [
        ("for", ", ".join(row.metrics)),
        ("path", row.path),
        ("sha256", row.sha256),
        ("checked", CHECKS[row.check]),
    ]
    if row.state == "missing":
        lines += [("searched", place) for place in row.searched]
    lines += [("key", f"quality.weights.{row.key}" if row.key else ""), ("do", row.advice)]
    yield from (f"{word:>16}  {escape(text)}" for word, text in lines if text)
