"""Rates of earlier runs, for estimates."""

from pathlib import Path

from harness.core.machine import Machine
from harness.core.model import ModelInfo
from harness.core.plan import Rate
from harness.store.read import completed_cell, readable_runs


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
