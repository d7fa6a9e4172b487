"""Whether an existing run is the one that is wanted: the same measurements and images, whatever judges them.

Prices, policy, rules, description and the choice of metrics change no measurement: a run follows them (`with_rules`).
"""

from collections.abc import Callable, Sequence

from harness.core.axis import Setting
from harness.core.errors import UsageError
from harness.core.matrix import Matrix, Model
from harness.core.plan import Plan
from harness.core.policy import Policy
from harness.planning.plan import baseline_wish
from harness.planning.resolve import Wish, resolve_cell

RULES = {"about", "prices", "policy", "gate"}
"""Keys of a matrix that judge or describe a run."""
QUALITY_RULES = {"metrics", "reference", "weights", "resamples"}
"""Keys of [quality] that choose how existing images are scored."""
NAMED = 4
"""So many differences are named; of more, the number."""

Expand = Callable[[Matrix], Sequence[Wish]]


def plan_differences(existing: Plan, wanted: Plan) -> tuple[str, ...]:
    """Return why an existing run cannot be continued as the wanted one, fact by fact; empty if it can.

    The numbers of prompts at which an adaptive run is judged do not count: they stay as they were fixed.
    """
    found = _matrix_differences(existing.matrix, wanted.matrix)
    found += existing.machine.differences(wanted.machine)
    if existing.model.digest != wanted.model.digest:
        titles = f"{existing.model.title} ({existing.model.digest[:12]}) ≠ {wanted.model.title}"
        found.append(f"model: {titles} ({wanted.model.digest[:12]})")
    if _texts(existing) != _texts(wanted):
        counts = (len(existing.prompts), len(wanted.prompts))
        found.append("prompts: other texts" if counts[0] == counts[1] else f"prompts: {counts[0]} ≠ {counts[1]}")
    if (existing.latent and existing.latent.sha256) != (wanted.latent and wanted.latent.sha256):
        found.append("prompts.latent: other noise")
    return tuple(found + _cell_differences(existing, wanted, bool(found)))


def file_differences(run: Plan, matrix: Matrix, expand: Expand) -> tuple[str, ...]:
    """Return what a matrix file asks for that a run did not measure; empty if it is a run of this file.

    Independent of this machine and of files that the matrix names, so that results can be read anywhere.
    """
    found = _matrix_differences(run.matrix, matrix)
    left_open = {**run.model.pins, **matrix.model.options}
    if run.matrix.model != Model(source=matrix.model.source, options=left_open):
        found.append(f"model: {_spelled(run.matrix.model)} ≠ {_spelled(matrix.model)}")
    prompts, wanted = run.matrix.prompts.model_dump(), matrix.prompts.model_dump()
    found += [f"prompts.{key}: {value!r} ≠ {wanted[key]!r}" for key, value in prompts.items() if value != wanted[key]]
    cells = [_settings(each, run, expand) for each in (run.matrix, matrix)]
    if cells[0] != cells[1]:
        found.append("axes, exclude, include or baseline: other cells")
    return tuple(found)


def with_rules(run: Plan, matrix: Matrix, policy: Policy) -> Plan:
    """Return a run's plan with what judges and describes it taken from a matrix file and a policy."""
    quality = run.matrix.quality.model_copy(update={key: getattr(matrix.quality, key) for key in QUALITY_RULES})
    rules = {key: getattr(matrix, key) for key in RULES}
    changed = run.model_copy(update={"matrix": run.matrix.model_copy(update={**rules, "quality": quality})})
    if policy == run.policy:
        return changed
    was = f": it was {run.policy.name}" if run.policy.name != policy.name else ""
    note = f"the policy {policy.name} was changed after the run began{was}"
    return changed.model_copy(update={"policy": policy, "notes": tuple(dict.fromkeys((*run.notes, note)))})


def shorten(differences: Sequence[str]) -> str:
    """Return the first differences in one line, and how many more there are."""
    more = f"; {len(differences) - NAMED} more" if len(differences) > NAMED else ""
    return "; ".join(differences[:NAMED]) + more


def _matrix_differences(mine: Matrix, theirs: Matrix) -> list[str]:
    """Return the keys that differ of those which change measurements or images, but for cells, model and prompts."""
    first, second = _flat(mine), _flat(theirs)
    return [f"{key}: {value} ≠ {second[key]}" for key, value in first.items() if value != second[key]]


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
    changed = [cell_id for cell_id in after if before[cell_id].content_key != after[cell_id].content_key]
    if not changed or explained:
        return []
    axes = {axis for cell_id in changed for axis in _changed_axes(before[cell_id].files, after[cell_id].files)}
    return [f"{', '.join(changed)}: other {' and '.join(sorted(axes)) or 'settings or'} files"]


def _texts(plan: Plan) -> list[tuple[str, str, str | None]]:
    return [(prompt.id, prompt.text, prompt.negative) for prompt in plan.prompts]


def _changed_axes(mine: dict[str, str], theirs: dict[str, str]) -> set[str]:
    return {axis for axis in mine.keys() | theirs.keys() if mine.get(axis) != theirs.get(axis)}


def _settings(matrix: Matrix, run: Plan, expand: Expand) -> tuple[object, ...]:
    """Return the cells a matrix asks for with a run's model and machine: baseline first, the others in no order."""
    try:
        baseline, *others = (
            resolve_cell(wish, run.model, run.machine) for wish in (baseline_wish(matrix), *expand(matrix))
        )
    except UsageError:  # results outlive the values they were made with
        return (matrix.axes, matrix.exclude, matrix.include, matrix.baseline)
    settings: list[tuple[Setting, ...]] = [cell.settings for cell in others]
    return baseline.settings, frozenset(settings)


def _spelled(model: Model) -> str:
    options = ", ".join(f"{key} = {value!r}" for key, value in sorted(model.options.items()))
    return f"{model.source} ({options})" if options else model.source
