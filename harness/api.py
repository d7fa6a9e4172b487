"""The verbs load, plan, run, evaluate, gate, report and bench; they only compose the stages."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness import planning, store
from harness.checkpoints.hub import ask_hub
from harness.core.base import Advance, ignore
from harness.core.errors import MachineError, NothingToDo, ResultsError
from harness.core.matrix import Matrix
from harness.core.model import CutTexts, ModelSource
from harness.core.outcome import Completed, Failed, Outcome, find_failure
from harness.core.parsing import expand_user
from harness.core.plan import Plan, PlannedCell
from harness.core.policy import Policy
from harness.core.quality import Evaluation
from harness.core.verdict import Judgement
from harness.execution import Progress, SilentProgress
from harness.exporting import compare, export
from harness.finding import RESULTS, LoadedMatrix, fetch_missing, find, find_planned, load
from harness.listing import (
    list_axes,
    list_matrices,
    list_policies,
    scoring_weights,
    show_policy,
    weights,
    write_matrix,
)
from harness.matrix import expand, load_policy, matches, merge_notes
from harness.measure.machine import describe_machine, list_unused_cards, lock_packages
from harness.measure.memory import read_free_bytes
from harness.metrics import get_metric
from harness.models import resolve_model
from harness.profiling import explain, profile
from harness.prompts import load_prompts
from harness.prompts.latent import describe_latent
from harness.store import append_time, measured_rate
from harness.store.layout import RunFolder, report_folder

if TYPE_CHECKING:
    import pandas

    from harness.claims import Finding

__all__ = [
    "LoadedMatrix", "RESULTS", "UNWATCHED", "Watch", "baseline_completed", "bench",
    "cache_caution", "claims", "compare", "continue_run", "evaluate", "explain", "export", "find",
    "frame", "gate", "list_axes", "list_matrices", "list_policies", "load", "open_run",
    "pending", "plan", "power", "profile", "reopen_run", "report", "run", "scoring_weights",
    "run_until_decided", "show_policy", "unprofiled", "weights", "write_matrix",
]  # fmt: skip


def plan(loaded: LoadedMatrix, *, select: tuple[str, ...] = (), results: Path = RESULTS) -> Plan:
    """Decide every cell, ready or skipped with its reason, without loading a model or fetching
    weights.

    The Hub is asked about missing files and about branches of models. `select` are globs on cell
    ids; the baseline is always included. Raises NothingToDo if they fit no cell.
    """
    matrix, results = loaded.matrix, expand_user(results)
    source = resolve_model(matrix.model)
    model = source.describe()
    model = model.model_copy(update={"notes": (*model.notes, *source.verify())})
    machine = describe_machine()
    reference = _check_reference(matrix) if model.quality_applies else ()
    around = planning.PlanContext(
        model=model,
        machine=machine,
        prompts=load_prompts(matrix.prompts),
        latent=describe_latent(matrix.prompts.latent) if matrix.prompts.latent else None,
        rate=measured_rate(results, model, machine) or planning.guess_rate(model.image_step_s),
        policy=loaded.policy,
        free_bytes=read_free_bytes(machine.device),
    )
    wishes = expand(matrix)
    around = around.model_copy(
        update={"published": ask_hub(planning.list_missing_files(matrix, wishes, around))}
    )
    whole = planning.make_plan(matrix, loaded.text, wishes, around)
    if not any(matches(planned.id, select) for planned in whole.compared):
        known = ", ".join(planned.id for planned in whole.compared)
        raise NothingToDo(
            f"no cell fits {', '.join(select)}", "--select", f"The cells are: {known}"
        )
    kept = tuple(p for p in whole.cells if p.role != "candidate" or matches(p.id, select))
    cut = planning.list_truncation_notes(
        whole.prompts, (*_cut_by_model(source, whole), *_cut_by_metrics(whole))
    )
    notes = (*whole.notes, *list_unused_cards(), *reference, *merge_notes(matrix), *cut)
    return planning.note_downloads(
        planning.plan_interim_analyses(whole.model_copy(update={"cells": kept, "notes": notes}))
    )


def _cut_by_model(source: ModelSource, decided: Plan) -> tuple[CutTexts, ...]:
    texts = {t: None for p in decided.prompts for t in (p.text, p.negative) if t}
    return source.find_cut(tuple(texts))


def _cut_by_metrics(decided: Plan) -> tuple[CutTexts, ...]:
    texts = tuple(dict.fromkeys(p.text for p in decided.prompts))
    metrics = decided.matrix.quality.metrics if decided.model.quality_applies else ()
    return tuple(get_metric(name).find_cut(texts) for name in metrics)


def _check_reference(matrix: Matrix) -> tuple[str, ...]:
    from harness.evaluation.reference import list_reference_notes

    return list_reference_notes(matrix.quality)


def power(decided: Plan, pilot: Path) -> tuple[planning.Power, ...]:
    """Return the statistical power of a planned run, by the spread of losses in an earlier,
    evaluated run.

    The pilot may be the first interim analysis of the same adaptive run. Raises ResultsError if it
    was not evaluated, or has another baseline.
    """
    earlier, evaluation = store.read_plan(pilot), store.read_evaluation(pilot)
    baselines = [each.find(each.baseline_id).cell for each in (earlier, decided)]
    if baselines[0].settings != baselines[1].settings:
        what = f"its baseline is {baselines[0].id}, not {baselines[1].id}: its losses are others"
        raise ResultsError(what, str(pilot), "Name a run with the baseline of this matrix.")
    if evaluation is None:
        raise ResultsError(
            "the run was not evaluated yet", str(pilot), "Run: harness evaluate " + pilot.name
        )
    return planning.forecast_power(decided, evaluation)


def open_run(
    loaded: LoadedMatrix,
    *,
    select: tuple[str, ...] = (),
    results: Path = RESULTS,
    fresh: bool = False,
    notice: Callable[[str], None] = lambda _: None,
) -> Path:
    """Return the folder of the run to continue: the newest with the same measurements and images,
    or a new one.

    A continued run takes over policy, rules, prices and metrics. If the newest run of this matrix
    is not continued, `notice` receives the facts that differ, its name among them. A missing model
    or adapter is fetched first, once; MachineError if that fails.
    """
    results = expand_user(results)
    wanted = plan(loaded, select=select, results=results)
    while fetch_missing(loaded.matrix, wanted):
        wanted = plan(loaded, select=select, results=results)  # the fetched files can be read now
    found = None if fresh else find_planned(loaded, wanted, results, notice)
    return found or store.create_run(results, wanted, loaded.text, lock_packages())


def reopen_run(name: Path, *, results: Path = RESULTS) -> Path:
    """Return the folder of an existing run, by its path or name, to measure its missing cells.

    Raises MachineError if this machine, or a file that the run reads, differs from when it began.
    """
    folder = find(name, results)
    existing = store.read_plan(folder)
    begun = LoadedMatrix(
        existing.matrix, RunFolder(folder).matrix_toml.read_text(encoding="utf-8"), existing.policy
    )
    wanted = plan(begun, select=tuple(planned.id for planned in existing.compared), results=results)
    if differences := planning.list_plan_differences(existing, wanted):
        what = f"this run cannot be continued here: {planning.shorten(differences)}"
        raise MachineError(what, str(folder), "Begin another with harness run MATRIX.")
    return folder


def pending(run: Path, *, retry_failed: bool = False) -> list[PlannedCell]:
    """Return the cells that have no outcome or, in an adaptive run, need more images.

    `retry_failed` deletes recorded failures first.
    """
    if retry_failed:
        _forget_failures(run)
    decided, outcomes = store.read_plan(run), store.read_outcomes(run)
    wanted = _wanted(run, decided, outcomes)

    def lacks(planned: PlannedCell) -> bool:
        outcome = outcomes.get(planned.id)
        return outcome is None or (
            isinstance(outcome, Completed) and outcome.lacks(wanted[planned.id])
        )

    return [planned for planned in decided.cells if lacks(planned)]


def _wanted(run: Path, decided: Plan, outcomes: dict[str, Outcome]) -> dict[str, int]:
    known = (
        (store.read_judgement(run), store.read_evaluation(run))
        if decided.interim_analyses
        else (None, None)
    )
    return planning.choose_prompt_counts(decided, outcomes, *known)


def _forget_failures(run: Path) -> None:
    outcomes = store.read_outcomes(run)
    if not any(find_failure(outcome) for outcome in outcomes.values()):
        return
    with store.lock_run(run):
        for cell_id, outcome in outcomes.items():
            if isinstance(outcome, Failed):
                RunFolder(run).outcome(cell_id).unlink()
            elif isinstance(outcome, Completed) and outcome.halted is not None:
                store.write_outcome(run, cell_id, outcome.model_copy(update={"halted": None}))


def baseline_completed(run: Path) -> bool:
    """Return whether the baseline of a run completed: without it no cell can be compared."""
    return isinstance(store.read_outcomes(run).get(store.read_plan(run).baseline_id), Completed)


def run(
    loaded: LoadedMatrix,
    *,
    select: tuple[str, ...] = (),
    results: Path = RESULTS,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Measure every cell that has no outcome yet and return the run's folder.

    An interrupted run continues where it stopped. Of an adaptive run (quality.images = "auto") this
    generates the images up to the next interim analysis; `evaluate` and `gate` then decide which
    cells need more; `bench` does it all. Raises MachineError if results cannot be written.
    """
    folder = open_run(loaded, select=select, results=results, fresh=fresh)
    continue_run(folder, progress=progress)
    return folder


def continue_run(folder: Path, *, progress: Progress | None = None, inline: bool = False) -> None:
    """Measure the cells of a run that are `pending`; `inline` runs them in this process."""
    from harness.execution import run_plan
    from harness.execution.launchers import InlineLauncher, ProcessLauncher

    begin = time.perf_counter()
    store.find_cache()  # before the workers start, which use the same one
    with store.lock_run(folder):
        decided = store.read_plan(folder)
        launcher = (
            InlineLauncher()
            if inline
            else ProcessLauncher(decided.model.uses_torch, bool(decided.machine.gpus))
        )
        try:
            launcher.prepare()
            wanted = _wanted(folder, decided, store.read_outcomes(folder))
            run_plan(folder, decided, wanted, launcher, progress or SilentProgress())
        finally:
            launcher.close()
            append_time(folder, "run", time.perf_counter() - begin)


def cache_caution() -> str:
    """Return why caches last no longer than this process, or '' if the usual folder is writable."""
    return store.find_cache().caution


def evaluate(run: Path, *, advance: Advance = ignore) -> Evaluation:
    """Score every completed cell against the baseline; `advance` receives progress."""
    from harness.evaluation import evaluate as evaluate_run

    begin = time.perf_counter()
    with store.lock_run(run):
        evaluation = evaluate_run(run, advance=advance)
        append_time(run, "evaluate", time.perf_counter() - begin)
    return evaluation


def gate(run: Path, policy: Policy | str | None = None) -> Judgement:
    """Judge every cell and store the verdicts; nothing is measured or scored again.

    `policy` is the name of a shipped policy, a policy file, or a loaded policy. Without one the
    run's own policy judges, with its matrix's rules, which a policy given here replaces. Raises
    PolicyError with every mistake in its file.
    """
    from harness.gating import judge

    chosen = load_policy(policy) if isinstance(policy, str) else policy
    begin = time.perf_counter()
    with store.lock_run(run):
        judgement = judge(run, chosen)
        append_time(run, "gate", time.perf_counter() - begin)
    return judgement


def unprofiled(run: Path) -> frozenset[str]:
    """Return the recommended cells without a trace: the reason for their speed is unknown."""
    from harness.reporting import unprofiled_cells

    return unprofiled_cells(run)


class Watch(NamedTuple):
    """Contexts that receive the progress of a bench while it measures and while it scores."""

    measuring: Callable[[], AbstractContextManager[Progress]] = lambda: nullcontext(
        SilentProgress()
    )
    scoring: Callable[[], AbstractContextManager[Advance]] = lambda: nullcontext(ignore)


UNWATCHED = Watch()


def run_until_decided(
    folder: Path, *, policy: Policy | str | None = None, watch: Watch = UNWATCHED
) -> Judgement | None:
    """Measure, evaluate and gate a run; an adaptive run until no cell needs more images.

    Returns the verdicts, or None if the baseline did not complete.
    """
    while True:
        if pending(folder):
            with watch.measuring() as progress:
                continue_run(folder, progress=progress)
        if not baseline_completed(folder):
            return None
        with watch.scoring() as advance:
            evaluate(folder, advance=advance)
        judgement = gate(folder, policy)
        if not pending(folder):
            return judgement


def bench(
    loaded: LoadedMatrix,
    *,
    select: tuple[str, ...] = (),
    results: Path = RESULTS,
    fresh: bool = False,
) -> Path:
    """Plan, run, evaluate, gate and report; return the run's folder."""
    folder = open_run(loaded, select=select, results=results, fresh=fresh)
    run_until_decided(folder, policy=loaded.policy)
    report(folder)
    return folder


def report(run: Path, out: Path | None = None) -> Path:
    """Write the report of a run and return its index.html; works without GPU, torch or network."""
    from harness.reporting import write_report

    begin = time.perf_counter()
    index = write_report(run, expand_user(out) if out else report_folder(run))
    with suppress(MachineError):  # read-only results can be reported too
        append_time(run, "report", time.perf_counter() - begin)
    return index


def claims(run: Path, ledger: Path | None = None) -> "tuple[Finding, ...]":
    """Return a finding for each published claim, those of the file `ledger` first.

    Raises LedgerError with every mistake in that file, ResultsError if the run cannot be read.
    """
    from harness.claims import compare_claims, load_ledger, shipped_claims

    shipped = shipped_claims()
    return compare_claims(
        run, (*(load_ledger(expand_user(ledger), shipped) if ledger else ()), *shipped)
    )


def frame(run: Path) -> "pandas.DataFrame":
    """Return a run's results as a pandas frame, one row per cell."""
    from harness.reporting import frame as make_frame

    return make_frame(run)
