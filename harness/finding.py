"""Load a matrix file and find its run."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness.checkpoints.hub import fetch_published
from harness.core.errors import ResultsError
from harness.core.matrix import Matrix
from harness.core.parsing import expand_user
from harness.core.plan import Plan
from harness.core.policy import Policy
from harness.matrix import expand, is_shipped, load_matrix
from harness.models import resolve_model
from harness.planning import adopt_rules, list_file_differences, list_plan_differences, shorten
from harness.store import find_run, lock_run, read_plan, readable_runs, resolve_run, rewrite_plan
from harness.store.layout import RunFolder

RESULTS = Path("results")

Differences = Callable[[Plan], tuple[str, ...]]
"""Returns why an existing run, given its plan, is not the wanted one; empty if it is."""


class LoadedMatrix(NamedTuple):
    """A matrix, its text, which identifies its runs, and its policy."""

    matrix: Matrix
    text: str
    policy: Policy = Policy()


def load(path: str | Path, policy: str | None = None, model: str | None = None) -> LoadedMatrix:
    """Load a matrix file, or a shipped matrix by name, with its policy or the named one.

    `model` overrides the file's: a name, a folder, a .safetensors file or a hub id, as in a matrix.
    Raises MatrixError with all mistakes in either file.
    """
    return LoadedMatrix(*load_matrix(Path(path), policy, model))


def find(name: Path, results: Path = RESULTS) -> Path:
    """Return the run of a name: its folder, its name, `latest`, or the newest run of a matrix file.

    A run found by its matrix file adopts the file's policy, rules, prices and metrics.
    """
    name, results = expand_user(name), expand_user(results)
    if name.suffix != ".toml" and not is_shipped(name):
        return resolve_run(name, results)
    loaded = load(name)
    sha256 = hashlib.sha256(loaded.text.encode()).hexdigest()

    def differences(existing: Plan) -> tuple[str, ...]:
        same_text = (
            existing.matrix_sha256 == sha256
        )  # its model may have been named on the command line
        return () if same_text else list_file_differences(existing, loaded.matrix, expand)

    found = find_run(results, lambda existing: not differences(existing))
    if found is None:
        why = _why_another(loaded, results, differences)
        what = f"this matrix has no run yet: {why}" if why else "this matrix has no run yet"
        raise ResultsError(what, str(name), f"Make one with: harness run {name}")
    existing = read_plan(found)
    _follow(found, existing.matrix if existing.matrix_sha256 == sha256 else loaded.matrix, loaded)
    return found


def is_run(name: Path, results: Path) -> bool:
    """Return whether a name is an existing run (folder, name or `latest`), not a matrix file."""
    return str(name) == "latest" or any(
        RunFolder(folder).run_json.exists() for folder in (name, results / name)
    )


def fetch_missing(matrix: Matrix, decided: Plan) -> bool:
    """Fetch a plan's missing files into the cache; return whether any were missing.

    Raises MachineError if that fails.
    """
    lacks_model = bool(decided.model.download and decided.model.download.missing)
    if lacks_model:
        resolve_model(matrix.model).fetch()
    if decided.downloads:
        fetch_published(decided.downloads)
    return lacks_model or bool(decided.downloads)


def find_planned(
    loaded: LoadedMatrix, wanted: Plan, results: Path, notice: Callable[[str], None]
) -> Path | None:
    """Return the newest run with a plan's measurements and images, or None; it adopts the matrix.

    If there is none, `notice` receives the facts in which the newest run of the matrix differs.
    """
    found = find_run(results, lambda existing: not list_plan_differences(existing, wanted))
    if found is not None:
        _follow(found, loaded.matrix, loaded)
    elif why := _why_another(
        loaded, results, lambda existing: list_plan_differences(existing, wanted)
    ):
        notice(f"a new run begins. {why}")
    return found


def _why_another(loaded: LoadedMatrix, results: Path, differences: Differences) -> str:
    """Return why the newest run of this matrix is not the wanted one, or an empty string.

    A run is of this matrix by its name, or if nothing but the name differs.
    """
    for path, existing in readable_runs(results):
        found = differences(existing)
        renamed = all(fact.startswith("name: ") for fact in found)
        if renamed or existing.matrix.name == loaded.matrix.name:
            return f"{path.name} differs: {shorten(found)}"
    return ""


def _follow(run: Path, matrix: Matrix, loaded: LoadedMatrix) -> None:
    """Update a run's rules and descriptions from a changed matrix file, without measuring."""
    before = read_plan(run)
    after = adopt_rules(before, matrix, loaded.policy)
    if after == before:
        return
    sha256 = hashlib.sha256(loaded.text.encode()).hexdigest()
    with lock_run(run):
        rewrite_plan(run, after.model_copy(update={"matrix_sha256": sha256}), loaded.text)
