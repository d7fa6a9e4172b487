"""Read results; a damaged file raises an error that names it and the repair."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.core.errors import ResultsError
from harness.core.machine import Machine
from harness.core.model import ModelInfo
from harness.core.outcome import Completed, Image, Outcome
from harness.core.plan import Plan, Rate
from harness.core.quality import Definition, Evaluation
from harness.core.sign_off import SignedBundle
from harness.core.timing import Pairing
from harness.core.trace import TraceFacts
from harness.core.units import Absent
from harness.core.verdict import Judgement
from harness.store.layout import SCHEMA_VERSION, RunFolder

_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)

Record = TypeVar("Record")


def parse_file(path: Path, parse: Callable[[bytes], Record], repair: str) -> Record:
    """Return what a file holds; `repair` is the advice of the error where it is damaged."""
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise ResultsError(
            f"cannot read: {error.strerror}", str(path), "Check the path and its permissions."
        ) from error
    except (ValidationError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ResultsError(f"damaged or truncated file ({first})", str(path), repair) from error


def read_plan(run: Path) -> Plan:
    """Return the plan of a run; ResultsError if it is no run, damaged, or written by a newer
    version."""
    path = RunFolder(run).run_json
    if not path.exists():
        raise ResultsError(
            "no run here: run.json is missing", str(run), "Name a folder under results/."
        )
    repair = "Restore this file from a copy, or measure again: harness run MATRIX --fresh"
    document: dict[str, Any] = parse_file(path, json.loads, repair)
    version = document.get("schema_version") if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise ResultsError(
            "run.json has no schema_version", str(path), "Name a folder made by harness run."
        )
    if version > SCHEMA_VERSION:
        raise ResultsError(
            f"results format {version} is newer than this version reads ({SCHEMA_VERSION})",
            str(path),
            "Upgrade: pip install --upgrade diffusion-harness",
        )
    return parse_file(path, lambda _: Plan.model_validate(document.get("plan")), repair)


def read_outcome(run: Path, cell_id: str) -> Outcome | None:
    """Return the outcome of one cell, or None if it has none yet."""
    path = RunFolder(run).outcome(cell_id)
    repair = f"Delete this file, then: harness run {run}. Only this cell is made anew."
    return parse_file(path, _OUTCOME.validate_json, repair) if path.exists() else None


def read_rounds(run: Path, cell_id: str) -> Pairing | None:
    """Return the rounds of a cell whose timing was interrupted; None without readable ones."""
    try:
        return Pairing.model_validate_json(RunFolder(run).rounds(cell_id).read_bytes())
    except (OSError, ValueError):
        return None


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
    repair = f"Make it again: harness profile {run} {cell_id}"
    return parse_file(path, TraceFacts.model_validate_json, repair) if path.exists() else None


def read_evaluation(run: Path) -> Evaluation | None:
    """Return the evaluation of a run, or None if it was not evaluated yet."""
    path = RunFolder(run).deltas
    return (
        parse_file(path, Evaluation.model_validate_json, f"Make it again: harness evaluate {run}")
        if path.exists()
        else None
    )


def read_judgement(run: Path) -> Judgement | None:
    """Return the verdicts of a run, or None if it was not judged yet."""
    path, repair = RunFolder(run).verdicts, f"Make it again: harness gate {run}"
    return parse_file(path, Judgement.model_validate_json, repair) if path.exists() else None


def read_image_scores(
    run: Path, metric: str
) -> tuple[Definition, list[tuple[str, str, int, float]]]:
    """Return a metric's definition and its rows of (cell id, prompt id, seed, value)."""
    path = RunFolder(run).scores(metric)

    def parse(data: bytes) -> tuple[Definition, list[tuple[str, str, int, float]]]:
        first, *rest = (json.loads(line) for line in data.splitlines())
        rows = [(row["cell"], row["prompt"], row["seed"], row["value"]) for row in rest]
        return Definition.model_validate(first["definition"]), rows

    return parse_file(path, parse, f"Make it again: harness evaluate {run}")


def read_times(run: Path) -> list[tuple[str, float]]:
    """Return (stage, wall seconds) of every stage that ran on this run, in order; a torn last line
    is left out."""
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


def read_signed(run: Path) -> tuple[SignedBundle, ...]:
    """Return the sign-off bundles that were made of a run, the oldest first: its records and images
    must stay while one of them counts."""
    path = RunFolder(run).signed

    def parse(data: bytes) -> tuple[SignedBundle, ...]:
        return tuple(SignedBundle.model_validate_json(line) for line in data.splitlines())

    repair = "Restore this file from a copy; delete it if no bundle of this run is in use."
    return parse_file(path, parse, repair) if path.exists() else ()


def created_at(run: Path) -> str:
    """Return when a run was created, as UTC text that sorts by time; renaming its folder does not
    change it.

    Where run.json names no time, the run's id stands in, which begins with it to the second; where
    run.json cannot be read, the time it was written does.
    """
    path = RunFolder(run).run_json
    try:
        document = json.loads(path.read_bytes())
        return str(document.get("created") or document["plan"]["run_id"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return timestamp(datetime.fromtimestamp(path.stat().st_mtime, timezone.utc))


def timestamp(time: datetime) -> str:
    """Return a time as text that sorts by time, such as 20261129T132800.123456Z."""
    return time.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")


def list_runs(root: Path) -> list[Path]:
    """Return the runs under a results folder, the last created first."""
    found = (
        [path for path in root.iterdir() if RunFolder(path).run_json.exists()]
        if root.is_dir()
        else []
    )
    return sorted(found, key=lambda path: (created_at(path), path.name), reverse=True)


def resolve_run(name: Path, root: Path) -> Path:
    """Return a run folder by path, by name under `root`, or `latest`."""
    if str(name) == "latest":
        for newest in list_runs(root):
            return newest
        raise ResultsError("no run yet", str(root), "Make one with: harness run quickstart")
    for candidate in (name, root / name):
        if RunFolder(candidate).run_json.exists():
            return candidate
    raise ResultsError(
        "no run here: run.json is missing", str(name), f"Known runs lie under {root}/."
    )


def readable_runs(root: Path) -> Iterator[tuple[Path, Plan]]:
    """Yield (folder, plan) of the runs under a results folder, newest first; unreadable ones are
    passed over."""
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


def completed_twins(root: Path, content_key: str) -> Iterator[tuple[Path, str, Completed]]:
    """Yield (run, cell id, outcome) of completed cells made of exactly the same content, the newest
    run first."""
    for path, plan in readable_runs(root):
        for planned in plan.cells:
            outcome = (
                completed_cell(path, planned.id) if planned.content_key == content_key else None
            )
            if outcome is not None:
                yield path, planned.id, outcome


def find_source(image: Path) -> str:
    """Return the run that the image of a cell was taken over from; an empty string if it was made
    in its own."""
    if len(image.parents) < 4:
        return ""
    outcome = completed_cell(image.parents[3], image.parents[1].name)
    return (outcome.reused_from if outcome else None) or ""


class Traced(NamedTuple):
    """Cell id → outcome, a trace that cannot be read being absent with the reason; what the other
    traces say."""

    outcomes: dict[str, Outcome]
    facts: dict[str, TraceFacts]


def read_traced(run: Path, outcomes: Mapping[str, Outcome]) -> Traced:
    """Return a run's outcomes with what their traces say; never raises for a trace: the rest stands
    without it."""
    checked, facts = dict(outcomes), {}
    for cell_id, outcome in outcomes.items():
        if not isinstance(outcome, Completed) or isinstance(outcome.trace, Absent):
            continue
        found = _facts(run, cell_id, outcome)
        if isinstance(found, Absent):
            checked[cell_id] = outcome.model_copy(update={"trace": found})
        else:
            facts[cell_id] = found
    return Traced(checked, facts)


def _facts(run: Path, cell_id: str, cell: Completed) -> TraceFacts | Absent:
    try:
        found = read_trace_facts(run, cell_id)
    except ResultsError as error:
        return Absent(absent=str(error))
    where = (
        f" of {cell.reused_from}, from where the cell was taken over" if cell.reused_from else ""
    )
    return found or Absent(absent=f"what its trace says is not in this run’s folder{where}")


def measured_rate(root: Path, model: ModelInfo, machine: Machine) -> Rate | None:
    """Return the rate of the newest run of this model on this machine, read off its baseline's
    image phase."""
    for path, plan in readable_runs(root):
        if plan.model.digest != model.digest or plan.machine.title != machine.title:
            continue
        outcome = completed_cell(path, plan.baseline_id)
        if outcome is None or not outcome.images or not outcome.denoiser_calls:
            continue
        scale = float(plan.find(plan.baseline_id).cell.setting("guidance").name)
        passes = outcome.denoiser_calls * (2 if model.guided(scale) else 1)
        rate = outcome.phases_s["images"] / len(outcome.images) / passes
        return Rate(image_step_s=rate, source=f"measured in {path.name}")
    return None
