"""All that is printed: data to stdout, progress and errors to stderr."""

import json as jsonlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.cli.progress import RunProgress, progress_bar
from harness.core.errors import ExitCode, HarnessError, NothingToDo
from harness.core.machine import Machine
from harness.core.outcome import Completed, Failed, Outcome, Skipped
from harness.core.plan import Plan
from harness.core.quality import Evaluation
from harness.core.units import Absent, format_bytes, format_percent, format_seconds
from harness.core.verdict import Judgement
from harness.store import read_outcomes, read_plan

PIPE_WIDTH = 120
"""Columns where there is no terminal to fit into."""


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, soft_wrap=True, width=PIPE_WIDTH)


out, err = _console(stderr=False), _console(stderr=True)

COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow", "missing": "magenta"}


def show_text(text: str) -> None:
    """Print plain text."""
    out.print(text, markup=False, end="")


def show_json(value: Any) -> None:
    """Print a JSON document."""
    out.print(jsonlib.dumps(value, indent=1, ensure_ascii=False), markup=False)


def show_plan(plan: Plan, json: bool) -> None:
    """Print the cells of a plan with estimates, then its notes."""
    if json:
        return show_json(plan.model_dump(mode="json"))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("cell", "role", "state", "estimate"):
        table.add_column(column, justify="right" if column == "estimate" else "left", overflow="fold")
    for planned in plan.cells:
        state = f"[yellow]skipped[/]: {escape(planned.skip)}" if planned.skip else "ready"
        estimate = "" if planned.skip else format_seconds(planned.estimate_s)
        table.add_row(planned.id, planned.role, state, estimate)
    out.print(table)
    total = sum(planned.estimate_s for planned in plan.cells)
    ready = sum(planned.skip is None for planned in plan.cells)
    images = len(plan.prompts) * len(plan.matrix.seeds)
    out.print(f"\n{ready} cells ready, {images} images a cell, about {format_seconds(total)} on {plan.machine.title}")
    for note in plan.notes:
        out.print(f"note: {note}", style="dim", markup=False)


def show_outcomes(run: Path, json: bool, quiet: bool = False) -> int:
    """Print what became of every cell; return exit code 5 if any failed."""
    outcomes, plan = read_outcomes(run), read_plan(run)
    failed = any(isinstance(outcome, Failed) for outcome in outcomes.values())
    if json:
        statuses = {cell_id: outcome.status for cell_id, outcome in outcomes.items()}
        show_json({"run": str(run), "cells": statuses})
    elif not quiet:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column, side in (("cell", "left"), ("latency", "right"), ("speedup", "right"), ("memory", "right")):
            table.add_column(column, justify=side)  # type: ignore[arg-type]
        table.add_column("outcome", overflow="fold")
        baseline = _latency(outcomes.get(plan.baseline_id))
        for planned in plan.compared:
            table.add_row(*_outcome_row(planned.id, outcomes.get(planned.id), baseline))
        out.print(table)
        out.print(f"\nresults: {run}", markup=False)
    return ExitCode.CELLS_FAILED if failed else ExitCode.PASS


def _outcome_row(cell_id: str, outcome: Outcome | None, baseline: float | None) -> list[str]:
    if isinstance(outcome, Completed):
        latency = _latency(outcome)
        speedup = f"{baseline / latency:.2f}×" if baseline and latency else ""
        memory = outcome.peak_memory_bytes
        shown = "" if isinstance(memory, Absent) else format_bytes(memory)
        return [cell_id, format_seconds(latency or 0.0), speedup, shown, "completed"]
    if isinstance(outcome, Failed):
        text = f"[red]failed[/] in {outcome.phase}: {escape(outcome.message.splitlines()[0])}"
        return [cell_id, "", "", "", f"{text}\n[dim]{escape(outcome.hint)}[/]"]
    reason = outcome.reason if isinstance(outcome, Skipped) else "not run yet"
    return [cell_id, "", "", "", f"[yellow]skipped[/]: {escape(reason)}"]


def _latency(outcome: Outcome | None) -> float | None:
    """Median seconds of one image."""
    if not isinstance(outcome, Completed) or not outcome.repeats:
        return None
    return median(repeat.latency_s for repeat in outcome.repeats) / outcome.batch


def show_evaluation(evaluation: Evaluation, json: bool) -> None:
    """Print every delta with its interval."""
    if json:
        return show_json(evaluation.model_dump(mode="json", exclude={"deltas": {"__all__": {"loss_uncertainty"}}}))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("cell", "metric", "score", "baseline", "loss [95 %]", "gates"):
        table.add_column(column, overflow="fold")
    for delta in evaluation.deltas:
        if isinstance(delta.loss, Absent):
            loss = f"[dim]{delta.loss.absent}[/]"
        else:
            low, high = format_percent(delta.loss.low), format_percent(delta.loss.high)
            loss = f"{format_percent(delta.loss.estimate)} [{low}, {high}]".replace("[", "\\[")
        gates = "yes" if delta.gates else f"[dim]{delta.why_not}[/]"
        table.add_row(delta.cell_id, delta.metric, f"{delta.candidate:.4g}", f"{delta.baseline:.4g}", loss, gates)
    out.print(table)
    for metric, reason in evaluation.missing.items():
        out.print(f"{metric}: missing: {reason}", style="magenta", markup=False)
    for metric in evaluation.blind:
        out.print(f"{metric}: blind here: no control could be told from the baseline", style="yellow")


def show_judgement(judgement: Judgement, json: bool) -> int:
    """Print the verdict of every cell and return the exit code."""
    if json:
        show_json(judgement.model_dump(mode="json"))
    else:
        if not judgement.cells:
            out.print("no cell to judge: none but the baseline completed, or quality does not apply", style="yellow")
        for cell in judgement.cells:
            out.print(f"[{COLOURS[cell.result]}]{cell.result:>12}[/]  {cell.cell_id}", style="bold")
            out.print(f"              {cell.reason}", style="dim", markup=False)
    codes = {"pass": ExitCode.PASS, "fail": ExitCode.GATE_FAILED, "missing": ExitCode.GATE_FAILED}
    return codes.get(judgement.result, ExitCode.INCONCLUSIVE)


def show_axes(rows: list[dict[str, str]], json: bool) -> None:
    """Print every axis value with one line of what it is."""
    if json:
        return show_json(rows)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("axis", "value", "what it is", "here"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row["axis"], row["value"], row["summary"], row["here"])
    out.print(table)


def show_comparison(rows: list[dict[str, Any]], json: bool) -> None:
    """Print two runs side by side."""
    if json:
        return show_json(rows)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("cell", "latency A", "latency B", "B is", "verdict A", "verdict B"):
        table.add_column(column, justify="right" if column[:7] in ("latency", "B is") else "left")
    for row in rows:
        ratio = f"{row['speedup']:.2f}× as fast" if row["speedup"] else ""
        shown = [format_seconds(row[key]) if row[key] else "" for key in ("latency_a_s", "latency_b_s")]
        table.add_row(row["cell"], *shown, ratio, row["verdict_a"], row["verdict_b"])
    out.print(table)


def show_machine(machine: Machine, json: bool) -> None:
    """Print the machine as results record it."""
    if json:
        return show_json(machine.model_dump(mode="json"))
    out.print(machine.title, style="bold")
    fp16 = "in hardware" if machine.native_fp16 else "not in hardware: the baseline is fp32"
    for line in (f"fp16: {fp16}", f"os: {machine.os}", f"python: {machine.python}"):
        out.print(line)
    for name, version in machine.packages.items():
        out.print(f"{name} {version}", style="dim")


def show_path(path: Path, progress: bool = False) -> None:
    """Print where something was written."""
    (err if progress else out).print(f"report: {path}" if progress else str(path), markup=False)


def nothing_pending(run: Path) -> NothingToDo:
    """Return the error for a run all of whose cells have an outcome."""
    return NothingToDo("every cell is done already", str(run), "Use --fresh to measure again, --retry-failed to retry.")


def show_error(error: Exception) -> int:
    """Print an error and return its exit code."""
    if isinstance(error, HarnessError):
        err.print(f"[bold red]error[/] {escape(error.where + ': ') if error.where else ''}", end="")
        err.print(error.what, markup=False)
        if error.fix:
            err.print(error.fix, markup=False, style="cyan")
        return int(error.exit_code)
    err.print("[bold red]error[/] ", end="")
    err.print(f"{type(error).__name__}: {error}", markup=False)
    err.print("This is a fault of harness: run again with `harness --debug …` and report it.", style="cyan")
    return 70


def show_interrupt() -> None:
    """Say that an interrupted run goes on with the same command."""
    err.print("\ninterrupted: what was measured is kept; the same command goes on from here", style="yellow")


@contextmanager
def run_progress() -> Iterator[RunProgress]:
    """Show a run's progress with the time left."""
    with progress_bar(err) as bars:
        yield RunProgress(bars)


@contextmanager
def scoring_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far scoring is."""
    with progress_bar(err) as bars:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield advance
