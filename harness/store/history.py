"""What earlier runs teach about how long the next one takes."""

from pathlib import Path

from harness.core.errors import ResultsError
from harness.core.machine import Machine
from harness.core.model import ModelInfo
from harness.core.outcome import Completed
from harness.core.plan import Rate
from harness.store.read import list_runs, read_outcomes, read_plan


def measured_rate(root: Path, model: ModelInfo, machine: Machine) -> Rate | None:
    """Return the rate of the newest run of this model on this machine, read off its baseline's image phase."""
    for path in list_runs(root):
        try:
            plan = read_plan(path)
            if plan.model.digest != model.digest or plan.machine.title != machine.title:
                continue
            outcome = read_outcomes(path).get(plan.baseline_id)
        except ResultsError:
            continue
        if not isinstance(outcome, Completed) or not outcome.images or not outcome.denoiser_calls:
            continue
        guided = float(plan.find(plan.baseline_id).cell.setting("guidance").name) > 1
        passes = outcome.denoiser_calls * (2 if guided else 1)
        rate = outcome.phases_s["images"] / len(outcome.images) / passes
        return Rate(image_step_s=rate, source=f"measured in {path.name}")
    return None
