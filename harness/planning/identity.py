"""Whether an existing run has the measurements and images of a wanted plan.

Prices, policy, rules, description and metrics do not change measurements: a run adopts them
(`adopt_rules`).
"""

from collections.abc import Callable, Sequence

from harness.core.axis import Setting
from harness.core.errors import UsageError
from harness.core.matrix import Matrix, Model
from harness.core.plan import Plan
from harness.core.policy import Policy
from harness.planning.plan import read_baseline
from harness.planning.resolve import Wish, resolve_cell

RULES = {"about", "prices", "nightly", "policy", "gate"}
"""Keys of a matrix for judging and describing a run."""
QUALITY_RULES = {"metrics", "reference", "weights", "resamples"}
"""Keys of [quality] for scoring existing images."""
NAMED = 4
"""The most differences to list."""

Expand = Callable[[Matrix], Sequence[Wish]]


def list_plan_differences(existing: Plan, wanted: Plan) -> tuple[str, ...]:
    """Return the differences because of which a run cannot be continued as the wanted plan.

    Interim analyses do not count: those of the existing run stay.
    """
    found = _matrix_differences(existing.matrix, wanted.matrix)
    found += existing.machine.differences(wanted.machine)
    if existing.model.digest != wanted.model.digest:
        titles = f"{existing.model.title} ({existing.model.digest[:12]}) ≠ {wanted.model.title}"
        found.append(f"model: {titles} ({wanted.model.digest[:12]})")
    if _texts(existing) != _texts(wanted):
        counts = (len(existing.prompts), len(wanted.prompts))
        other = "other texts" if counts[0] == counts[1] else f"{counts[0]} ≠ {counts[1]}"
        found.append(f"prompts: {other}")
    if (existing.latent and existing.latent.sha256) != (wanted.latent and wanted.latent.sha256):
        found.append("prompts.latent: other noise")
    return tuple(found + _cell_differences(existing, wanted, bool(found)))


def list_file_differences(run: Plan, matrix: Matrix, expand: Expand) -> tuple[str, ...]:
    """Return the differences between a run and a matrix file; empty if the run belongs to the file.

    Independent of this machine and of files named in the matrix, so that results are readable
    anywhere.
    """
    found = _matrix_differences(run.matrix, matrix)
    left_open = {**run.model.pins, **matrix.model.options}
    if run.matrix.model != Model(source=matrix.model.source, options=left_open):
        found.append(f"model: {_spelled(run.matrix.model)} ≠ {_spelled(matrix.model)}")
    wanted = matrix.prompts.model_dump()
    for key, value in run.matrix.prompts.model_dump().items():
        if value != wanted[key]:
            found.append(f"prompts.{key}: {value!r} ≠ {wanted[key]!r}")
    cells = [_settings(each, run, expand) for each in (run.matrix, matrix)]
    if cells[0] != cells[1]:
        found.append("axes, exclude, include or baseline: other cells")
    return tuple(found)


def adopt_rules(run: Plan, matrix: Matrix, policy: Policy) -> Plan:
    """Return a run's plan with the rules and descriptions of a matrix file and a policy."""
    scored = {key: getattr(matrix.quality, key) for key in QUALITY_RULES}
    rules = {key: getattr(matrix, key) for key in RULES}
    rules["quality"] = run.matrix.quality.model_copy(update=scored)
    changed = run.model_copy(update={"matrix": run.matrix.model_copy(update=rules)})
    if policy == run.policy:
        return changed
    was = f": it was {run.policy.name}" if run.policy.name != policy.name else ""
    note = f"the policy {policy.name} was changed after the run began{was}"
    notes = tuple(dict.fromkeys((*run.notes, note)))
    return changed.model_copy(update={"policy": policy, "notes": notes})


def shorten(differences: Sequence[str]) -> str:
    """Return the first differences in one line, and the number of others."""
    more = f"; {len(differences) - NAMED} more" if len(differences) > NAMED else ""
    return "; ".join(differences[:NAMED]) + more


def _matrix_differences(mine: Matrix, theirs: Matrix) -> list[str]:
    """Return the differences of keys that change measurements or images."""
    first, second = _flat(mine), _flat(theirs)
    return [
        f"{key}: {value} ≠ {second[key]}" for key, value in first.items() if value != second[key]
    ]


def _flat(matrix: Matrix) -> dict[str, object]:
    quality = matrix.quality.model_dump(exclude=QUALITY_RULES)
    return {
        "name": matrix.name,
        "seeds": list(matrix.seeds),
        **{f"measure.{key}": value for key, value in matrix.measure.model_dump().items()},
        **{f"quality.{key}": value for key, value in quality.items()},
    }


def _cell_differences(existing: Plan, wanted: Plan, explained: bool) -> list[str]:
    before = {planned.id: planned for planned in existing.cells}
    after = {planned.id: planned for planned in wanted.cells}
    if before.keys() != after.keys():
        sides = (("removed", before.keys() - after.keys()), ("added", after.keys() - before.keys()))
        return [f"cells: {', '.join(sorted(ids))} {what}" for what, ids in sides if ids]
    changed = [i for i in after if before[i].content_key != after[i].content_key]
    if not changed or explained:
        return []
    axes = set()
    for i in changed:
        mine, theirs = before[i].files, after[i].files
        axes |= {axis for axis in mine.keys() | theirs.keys() if mine.get(axis) != theirs.get(axis)}
    return [f"{', '.join(changed)}: other {' and '.join(sorted(axes)) or 'settings or'} files"]


def _texts(plan: Plan) -> list[tuple[str, str, str | None]]:
    return [(prompt.id, prompt.text, prompt.negative) for prompt in plan.prompts]


def _settings(matrix: Matrix, run: Plan, expand: Expand) -> tuple[object, ...]:
    """Return the baseline and the cells of a matrix with a run's model and machine."""
    wishes = (read_baseline(matrix), *expand(matrix))
    try:
        baseline, *others = (resolve_cell(wish, run.model, run.machine) for wish in wishes)
    except UsageError:  # an axis value of old results may no longer exist
        return (matrix.axes, matrix.exclude, matrix.include, matrix.baseline)
    settings: list[tuple[Setting, ...]] = [cell.settings for cell in others]
    return baseline.settings, frozenset(settings)


def _spelled(model: Model) -> str:
    options = ", ".join(f"{key} = {value!r}" for key, value in sorted(model.options.items()))
    return f"{model.source} ({options})" if options else model.source
