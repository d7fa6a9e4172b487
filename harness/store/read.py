"""Read results, and say plainly what is wrong where they cannot be read."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.core.errors import ResultsError
from harness.core.outcome import Completed, Image, Outcome
from harness.core.plan import Plan
from harness.core.quality import Definition, Evaluation
from harness.core.trace import TraceFacts
from harness.core.verdict import Judgement
from harness.store.layout import SCHEMA_VERSION, RunFolder

_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)
_RERUN = "Delete this file and run the same command again: only this part is done anew."

Record = TypeVar("Record")


def _read(path: Path, parse: Callable[[bytes], Record]) -> Record:
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise ResultsError(
            f"cannot read: {error.strerror}", str(path), "Check the path and its permissions."
        ) from error
    except (ValidationError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ResultsError(f"damaged or truncated file ({first})", str(path), _RERUN) from error


def read_plan(run: Path) -> Plan:
    """Return the plan of a run; ResultsError if it is no run, damaged, or written by a newer version."""
    path = RunFolder(run).run_json
    if not path.exists():
        raise ResultsError("no run here: run.json is missing", str(run), "Name a folder under results/.")
    document: dict[str, Any] = _read(path, json.loads)
    version = document.get("schema_version") if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise ResultsError("run.json has no schema_version", str(path), "Name a folder made by harness run.")
    if version > SCHEMA_VERSION:
        raise ResultsError(
            f"results format {version} is newer than this version reads ({SCHEMA_VERSION})",
            str(path),
            "Upgrade: pip install --upgrade diffusion-harness",
        )
    return _read(path, lambda _: Plan.model_validate(document.get("plan")))


def read_outcome(run: Path, cell_id: str) -> Outcome | None:
    """Return the outcome of one cell, or None if it has none yet."""
    path = RunFolder(run).outcome(cell_id)
    return _read(path, _OUTCOME.validate_json) if path.exists() else None


def read_outcomes(run: Path) -> dict[str, Outcome]:
    """Return cell id → outcome for every cell of the plan that has one, in the plan's order."""
    found = ((planned.id, read_outcome(run, planned.id)) for planned in read_plan(run).cells)
    return {cell_id: outcome for cell_id, outcome in found if outcome is not None}


def image_path(run: Path, cell_id: str, image: Image) -> Path:
    """Return the file of one image."""
    return RunFolder(run).cell(cell_id) / image.path


def read_trace_facts(run: Path, cell_id: str) -> TraceFacts | None:
    """Return what a cell's trace says, or None if it has none."""
    path = RunFolder(run).trace_facts(cell_id)
    return _read(path, TraceFacts.model_validate_json) if path.exists() else None


def read_evaluation(run: Path) -> Evaluation | None:
    """Return the evaluation of a run, or None if it was not evaluated yet."""
    path = RunFolder(run).deltas
    return _read(path, Evaluation.model_validate_json) if path.exists() else None


def read_judgement(run: Path) -> Judgement | None:
    """Return the verdicts of a run, or None if it was not judged yet."""
    path = RunFolder(run).verdicts
    return _read(path, Judgement.model_validate_json) if path.exists() else None


def read_image_scores(run: Path, metric: str) -> tuple[Definition, list[tuple[str, str, int, float]]]:
    """Return a metric's definition and its rows of (cell id, prompt id, seed, value)."""
    path = RunFolder(run).scores(metric)

    def parse(data: bytes) -> tuple[Definition, list[tuple[str, str, int, float]]]:
        first, *rest = (json.loads(line) for line in data.splitlines())
        rows = [(row["cell"], row["prompt"], row["seed"], row["value"]) for row in rest]
        return Definition.model_validate(first["definition"]), rows

    return _read(path, parse)


def read_times(run: Path) -> list[tuple[str, float]]:
    """Return (stage, wall seconds) of every stage that ran on this run, in order; a torn last line is left out."""
    path = RunFolder(run).times
    if not path.exists():
        return []
    times = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        times.append((str(entry["stage"]), float(entry["wall_s"])))
    return times


def list_runs(root: Path) -> Iterator[Path]:
    """Yield the runs under a results folder, newest first."""
    if root.is_dir():
        for path in sorted(root.iterdir(), reverse=True):
            if RunFolder(path).run_json.exists():
                yield path


def resolve_run(name: Path, root: Path) -> Path:
    """Return the run folder that a person means: a path, a name under `root`, or `latest`."""
    if str(name) == "latest":
        for newest in list_runs(root):
            return newest
        raise ResultsError("no run yet", str(root), "Make one with: harness run quickstart")
    for candidate in (name, root / name):
        if RunFolder(candidate).run_json.exists():
            return candidate
    raise ResultsError("no run here: run.json is missing", str(name), f"Known runs lie under {root}/.")


def readable_runs(root: Path) -> Iterator[tuple[Path, Plan]]:
    """Yield (folder, plan) of the runs under a results folder, newest first; unreadable ones are passed over."""
    for path in list_runs(root):
        try:
            plan = read_plan(path)
        except ResultsError:
            continue
        yield path, plan


def find_run(root: Path, fits: Callable[[Plan], bool]) -> Path | None:
    """Return the newest run whose plan fits, or None."""
    return next((path for path, plan in readable_runs(root) if fits(plan)), None)


def completed_cell(run: Path, cell_id: str) -> Completed | None:
    """Return the outcome of a cell that completed, or None: not run, not completed, or damaged."""
    try:
        outcome = read_outcome(run, cell_id)
    except ResultsError:
        return None
    return outcome if isinstance(outcome, Completed) else None


def find_completed(
    root: Path, content_key: str, fits: Callable[[Completed], bool]
) -> tuple[Path, str, Completed] | None:
    """Return (run, cell id, outcome) of a completed cell made of exactly the same content that fits, or None."""
    for path, plan in readable_runs(root):
        for planned in plan.cells:
            if planned.content_key != content_key:
                continue
            outcome = completed_cell(path, planned.id)
            if outcome is not None and fits(outcome):
                return path, planned.id, outcome
    return None
