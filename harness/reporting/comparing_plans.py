"""What two runs measured differently: their baselines, models, seeds, prompts, policies, and cells of one name."""

from collections import defaultdict

from harness.core.plan import Plan, PlannedCell
from harness.reporting.loaded import LoadedRun


def baseline_differences(first: Plan, second: Plan) -> tuple[str, ...]:
    """Return how the baselines of two runs differ: `steps 50 ≠ 25`; what is relative to them is not comparable then."""
    return (*_model(first, second), *_baselines(first, second))


def plan_differences(first: LoadedRun, second: LoadedRun) -> tuple[str, ...]:
    """Return what two runs measured differently, besides their machines: `seeds: [0] ≠ [7]`."""
    plans = first.plan, second.plan
    found = [*_model(*plans), *(f"baseline: {difference}" for difference in _baselines(*plans))]
    if plans[0].matrix.seeds != plans[1].matrix.seeds:
        found.append(f"seeds: {list(plans[0].matrix.seeds)} ≠ {list(plans[1].matrix.seeds)}")
    found += _prompts(*plans)
    starts = [plan.latent and plan.latent.sha256 for plan in plans]
    if starts[0] != starts[1]:
        found.append("prompts.latent: the images start from other noise")
    found += _cells(*plans)
    policies = [(run.policy.name, run.policy.correction, run.policy.gate) for run in (first, second)]
    if policies[0] != policies[1]:
        names = policies[0][0], policies[1][0]
        found.append(f"policy: {names[0]} ≠ {names[1]}" if names[0] != names[1] else f"policy: {names[0]}, other rules")
    return tuple(found)


def cell_differences(first: PlannedCell, second: PlannedCell) -> tuple[str, ...]:
    """Return the settings that differ between two cells, and the files that their values read."""
    return (*setting_differences(first, second), *_files(first, second))


def setting_differences(first: PlannedCell, second: PlannedCell) -> tuple[str, ...]:
    """Return the settings that differ between two cells, such as `resolution 512x512 ≠ 1024x1024`."""
    mine, theirs = first.cell.by_axis, second.cell.by_axis
    axes = dict.fromkeys((*mine, *theirs))
    words = ((axis, mine.get(axis, "none"), theirs.get(axis, "none")) for axis in axes)
    return tuple(f"{axis} {one} ≠ {other}" for axis, one, other in words if one != other)


def _files(first: PlannedCell, second: PlannedCell) -> list[str]:
    """Return the axes whose value is the same and reads other files, such as an adapter that was replaced."""
    shared = first.files.keys() & second.files.keys()
    differ = sorted(axis for axis in shared if first.files[axis] != second.files[axis])
    return [
        f"{axis} {first.cell.setting(axis)}: files {first.files[axis][:12]} ≠ {second.files[axis][:12]}"
        for axis in differ
        if first.cell.setting(axis) == second.cell.setting(axis)
    ]


def _baselines(first: Plan, second: Plan) -> tuple[str, ...]:
    return cell_differences(first.find(first.baseline_id), second.find(second.baseline_id))


def _model(first: Plan, second: Plan) -> list[str]:
    if first.model.digest == second.model.digest:
        return []
    mine, theirs = (f"{plan.model.title} {plan.model.digest[:12]}" for plan in (first, second))
    return [f"model: {mine} ≠ {theirs}"]


def _prompts(first: Plan, second: Plan) -> list[str]:
    mine, theirs = ([(prompt.id, prompt.text, prompt.negative) for prompt in plan.prompts] for plan in (first, second))
    if mine == theirs:
        return []
    shared = min(len(mine), len(theirs))
    alike = "the first of them the same" if mine[:shared] == theirs[:shared] else "of other texts"
    return [f"prompts: {len(mine)} ≠ {len(theirs)}, {alike}" if len(mine) != len(theirs) else "prompts: other texts"]


def _cells(first: Plan, second: Plan) -> list[str]:
    """Return what differs between cells of one name, each difference once with the cells that have it."""
    places: dict[str, list[str]] = defaultdict(list)
    theirs = {planned.id: planned for planned in second.compared}
    for planned in first.compared:
        if planned.id == first.baseline_id == second.baseline_id:
            continue  # named as the baseline
        for difference in cell_differences(planned, theirs[planned.id]) if planned.id in theirs else ():
            places[difference].append(planned.id)
    return [f"{', '.join(ids)}: {difference}" for difference, ids in places.items()]
