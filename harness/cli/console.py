"""All output: data to stdout, progress and errors to stderr."""

import json as jsonlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.table import Table

from harness.claims import Finding
from harness.cli.comparison_view import (
    absent_table,
    advice,
    comparison_parts,
    measured_table,
    refusals,
    summary,
)
from harness.cli.progress import RunProgress, progress_bar, transfer_bar
from harness.cli.streams import is_unicode
from harness.cli.tables import (
    abilities_table,
    axes_lines,
    deltas_table,
    machine_lines,
    outcomes_table,
    plan_table,
    policy_lines,
    power_note,
    power_table,
    print_table,
    to_json,
    value_lines,
    weight_lines,
)
from harness.cli.trace_view import explained_parts, explained_summary
from harness.core.errors import ExitCode, HarnessError, NothingToDo
from harness.core.machine import Machine
from harness.core.outcome import find_failure
from harness.core.plan import Plan, PlannedCell
from harness.core.policy import Policy, Waiver, rule_words
from harness.core.quality import Evaluation
from harness.core.units import Absent, format_seconds, plural
from harness.core.verdict import Judgement
from harness.measure.machine import Ability
from harness.metrics import WeightRow
from harness.planning import Power
from harness.profiling import Explained
from harness.reporting.compared_runs import ComparedRuns
from harness.store import read_outcomes, read_plan

out, err = (
    Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False) for stderr in (False, True)
)

COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow", "missing": "magenta"}


def show_text(text: str) -> None:
    """Print plain text."""
    out.print(text, markup=False, end="")


def show_explained(cells: list[Explained], json: bool) -> None:
    """Print what the traces of cells say; one cell's JSON is an object, several are a list."""
    if json:
        found = [explained_summary(cell) for cell in cells]
        return show_json(found if len(found) > 1 else found[0])
    show_parts(chain.from_iterable(map(explained_parts, cells)))


def show_parts(parts: Iterable[Any]) -> None:
    """Print lines and tables."""
    for part in parts:
        if isinstance(part, Table):
            print_table(out, part)
        else:
            out.print(part)


def show_json(value: Any) -> None:
    """Print a JSON document; where the terminal's encoding lacks characters, with escapes, so that
    none is lost."""
    out.print(jsonlib.dumps(value, indent=1, ensure_ascii=not is_unicode(out.file)), markup=False)


def show_plan(plan: Plan, json: bool) -> None:
    """Print the cells of a plan with estimates, then its notes."""
    if json:
        return show_json(plan.model_dump(mode="json"))
    print_table(out, plan_table(plan))
    total = sum(planned.estimate_s for planned in plan.cells)
    ready = sum(planned.skip is None for planned in plan.cells)
    seeds = len(plan.matrix.seeds)
    images = f"{plan.interim_analyses[0] * seeds} to " if len(plan.interim_analyses) > 1 else ""
    images += f"{len(plan.prompts) * seeds} images a cell"
    out.print(
        f"\n{ready} cells ready, {images}, about {format_seconds(total)} on {plan.machine.title}"
    )
    for planned in plan.cells:
        for caution in planned.cautions:
            out.print(
                f"warning: {planned.id}: {caution.message}. {caution.advice}",
                style="yellow",
                markup=False,
            )
    rules = "; ".join(rule_words(rule) for rule in plan.policy.gate)
    out.print(f"policy {plan.policy.name}: {rules}", style="dim", markup=False)
    for note in plan.notes:
        out.print(f"note: {note}", style="dim", markup=False)


def show_power(rows: tuple[Power, ...], json: bool) -> None:
    """Print the power of a planned run for each cell and metric."""
    if json:
        return show_json([row.model_dump() for row in rows])
    if not rows:
        return out.print(
            "That run has no interval of a metric that judges a cell of this plan.", style="yellow"
        )
    print_table(out, power_table(rows))
    out.print("\n" + power_note(rows), markup=False)


def show_outcomes(run: Path, json: bool, quiet: bool = False) -> int:
    """Print the outcome of every cell; return exit code 5 if any failed."""
    outcomes, plan = read_outcomes(run), read_plan(run)
    failed = any(find_failure(outcome) for outcome in outcomes.values())
    if json:
        statuses = {cell_id: outcome.status for cell_id, outcome in outcomes.items()}
        show_json({"run": str(run), "cells": statuses})
    elif not quiet:
        rows = ((planned.id, outcomes.get(planned.id)) for planned in plan.compared)
        print_table(out, outcomes_table(rows, outcomes.get(plan.baseline_id)))
        out.print(f"\nresults: {run}", markup=False)
    return ExitCode.CELLS_FAILED if failed else ExitCode.PASS


def show_evaluation(evaluation: Evaluation, json: bool) -> None:
    """Print every delta with its interval."""
    if json:
        return show_json(
            evaluation.model_dump(
                mode="json",
                exclude={
                    "deltas": {"__all__": {"loss_uncertainty"}},
                    "ladder": {"__all__": {"loss_uncertainty", "score_uncertainty"}},
                },
            )
        )
    if evaluation.deltas:
        print_table(out, deltas_table(evaluation))
    for reason in dict.fromkeys(evaluation.missing.values()):
        metrics = ", ".join(metric for metric, why in evaluation.missing.items() if why == reason)
        out.print(f"{metrics}: missing: {reason}", style="magenta", markup=False)
    for metric, why in evaluation.blind.items():
        out.print(
            f"{metric}: blind here: {why}. Passes by this metric do not count.", style="yellow"
        )


def show_judgement(judgement: Judgement, unprofiled: Collection[str], json: bool) -> int:
    """Print the verdict of every cell, with a mark where a recommended cell has no trace; return
    the exit code."""
    if json:
        found = judgement.model_dump(mode="json")
        for cell in found["cells"]:
            cell["unprofiled"] = cell["cell_id"] in unprofiled
        show_json(found)
    else:
        if not judgement.cells:
            out.print(
                "No cell to judge: only the baseline completed, or quality does not apply.",
                style="yellow",
            )
        for cell in judgement.cells:
            mark = "  [yellow]unprofiled[/]" if cell.cell_id in unprofiled else ""
            out.print(
                f"[{COLOURS[cell.result]}]{cell.result:>12}[/]  {cell.cell_id}{mark}", style="bold"
            )
            out.print(f"              {cell.reason}", style="dim", markup=False)
            for warned in cell.warnings:
                out.print(f"     warning  {warned.sentence}", style="yellow", markup=False)
        show_waivers(judgement.waivers)
        if any(cell.cell_id in unprofiled for cell in judgement.cells):
            out.print(
                "unprofiled: no trace explains the speedup. Take one: harness profile RUN CELL",
                style="dim",
            )
        for note in judgement.notes:
            out.print(f"note: {note}", style="yellow", markup=False)
        across = (
            "Holm's correction across cells"
            if judgement.policy.correction == "holm"
            else "no correction"
        )
        out.print(f"policy: {judgement.policy.name}, {across}", style="dim", markup=False)
    codes = {"pass": ExitCode.PASS, "fail": ExitCode.GATE_FAILED, "missing": ExitCode.GATE_FAILED}
    return codes.get(judgement.result, ExitCode.INCONCLUSIVE)


def show_waivers(waivers: Collection[Waiver]) -> None:
    """Print waivers in red, with their number."""
    for waiver in waivers:
        out.print(f"      waived  {waiver}", style="red", markup=False)
    if waivers:
        out.print(plural(len(waivers), "waiver"), style="bold red", markup=False)


def show_axes(rows: list[dict[str, Any]], json: bool, whole: bool) -> None:
    """Print one line per axis value, or every option of each. Lines are never cut, so that they can
    be searched."""
    if json:
        return show_json(rows)
    for line in chain.from_iterable(map(value_lines, rows)) if whole else axes_lines(rows):
        out.print(line, style="" if line.startswith(" ") else "bold", markup=False)


def show_policies(policies: tuple[Policy, ...], json: bool) -> None:
    """Print every policy with its rules in words."""
    if json:
        return show_json([policy.model_dump(mode="json") for policy in policies])
    for line, style in policy_lines(policies):
        out.print(line, style=style, markup=False)


def show_weights(rows: tuple[WeightRow, ...], json: bool, asked: bool) -> int:
    """Print weight files, with advice where one is not usable; return exit code 4 if a requested
    one is not."""
    if json:
        show_json([row.model_dump() for row in rows])
    else:
        for row in rows:
            for line in weight_lines(row):
                out.print(line)
        ready = sum(row.state in ("found", "shipped") for row in rows)
        out.print(f"{ready} of {len(rows)} weight files are usable")
    bad = any(row.state == "wrong" or (asked and row.state == "missing") for row in rows)
    return ExitCode.MACHINE if bad else ExitCode.PASS


def warn(caution: str) -> None:
    """Print a warning, if there is one."""
    if caution:
        err.print(f"warning: {caution}", style="yellow", markup=False)


def warn_of_weights(rows: tuple[WeightRow, ...], matrix: Path) -> None:
    """Warn before the run which metrics will have no score on this machine."""
    bad = [row for row in rows if row.state in ("missing", "wrong")]
    for row in bad:
        what = f"{', '.join(row.metrics)}: no score on this machine: {row.file} is {row.state}"
        err.print(what, style="yellow", markup=False)
    if bad:
        err.print(f"Where to get them: harness weights {matrix}", style="yellow", markup=False)


def show_comparison(found: ComparedRuns, json: bool) -> int:
    """Print runs side by side; return exit code 7, with the reason, if a figure cannot be
    compared."""
    if json:
        show_json(found.model_dump())
    else:
        show_parts(comparison_parts(found))
    refused = refusals(found)
    for reason in refused:
        err.print("[bold red]error[/] ", end="")
        err.print(reason, markup=False)
    if refused:
        err.print(advice(found), style="cyan", markup=False)
    return ExitCode.RESULTS if refused else ExitCode.PASS


def show_claims(run: Path, findings: tuple[Finding, ...], json: bool) -> int:
    """Print claimed and measured figures; return exit code 3 if no claim is comparable."""
    comparable = any(finding.verdict != "not comparable" for finding in findings)
    if json:
        show_json([finding.model_dump(mode="json") for finding in findings])
    else:
        plan = read_plan(run)
        out.print(f"{plan.model.title} on {plan.machine.title}\n", style="bold", markup=False)
        measured = tuple(finding for finding in findings if not isinstance(finding.here, Absent))
        for table in (
            measured_table(measured),
            absent_table(tuple(f for f in findings if f not in measured)),
        ):
            if table.row_count:
                print_table(out, table)
        out.print(f"\n{summary(findings)}")
    return ExitCode.PASS if comparable else ExitCode.NOTHING_TO_DO


def show_machine(machine: Machine, abilities: tuple[Ability, ...], json: bool) -> None:
    """Print the machine as results record it, and the conditions it can measure."""
    if json:
        return show_json({**machine.model_dump(mode="json"), "abilities": to_json(abilities)})
    for line in machine_lines(machine):
        out.print(line)
    out.print("\nconditions that this machine can measure:")
    print_table(out, abilities_table(abilities))
    out.print()
    for name, version in machine.packages.items():
        out.print(f"{name} {version}", style="dim")


def show_path(path: Path, progress: bool = False) -> None:
    """Print the path of a written file."""
    (err if progress else out).print(f"report: {path}" if progress else str(path), markup=False)


def show_pending(run: Path, pending: list[PlannedCell]) -> None:
    """Print which cells of an adaptive run need more images, and how to continue."""
    names = [planned.id for planned in pending if planned.role == "candidate"]
    if names and read_plan(run).interim_analyses:
        err.print(
            f"Undecided: {', '.join(names)}. Continue with harness run, or harness bench.",
            style="yellow",
        )


def show_notice(text: str) -> None:
    """Print a notice to stderr."""
    err.print(text, style="yellow", markup=False)


def nothing_pending(run: Path) -> NothingToDo:
    """Return the error for a run without missing cells or images."""
    fix = "Use --fresh to measure again, --retry-failed to run failed cells again."
    if read_plan(run).interim_analyses:
        fix = f"harness evaluate and gate {run.name} decide which cells get more images. {fix}"
    return NothingToDo("every cell is completed", str(run), fix)


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
    err.print(
        "This is a bug in harness. Run again with `harness --debug …` and report the traceback.",
        style="cyan",
    )
    return 70


def show_interrupt() -> None:
    """Print that the same command continues an interrupted run."""
    err.print("\ninterrupted: completed cells are kept; the same command continues", style="yellow")


@contextmanager
def run_progress() -> Iterator[RunProgress]:
    """Show a run's progress with the time left."""
    with progress_bar(err) as bars:
        yield RunProgress(bars)


@contextmanager
def download_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show the progress of each download."""
    with transfer_bar(err) as bars:
        yield _advance(bars)


@contextmanager
def scoring_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show the progress of scoring."""
    with progress_bar(err) as bars:
        yield _advance(bars)


def _advance(bars: Progress) -> Callable[[str, int, int], None]:
    """Return a callback that updates one bar per name."""
    tasks: dict[str, TaskID] = {}

    def advance(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(name)
        bars.update(tasks[name], completed=done, total=total or None)

    return advance
