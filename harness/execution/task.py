"""What a worker process is told, and what it says back."""

from pathlib import Path
from typing import NamedTuple

from harness.core.base import Frozen
from harness.core.matrix import Measure, Model
from harness.core.outcome import Phase
from harness.core.plan import Plan, PlannedCell, Prompt


class Task(Frozen):
    """One cell to measure, complete in itself."""

    planned: PlannedCell
    model: Model
    measure: Measure
    prompts: tuple[Prompt, ...]
    seeds: tuple[int, ...]
    device: str
    cores: int
    uses_torch: bool = True
    folder: Path
    """The cell's folder: the worker writes images, traces and its log there, the runner the outcome."""


class Step(NamedTuple):
    """Progress of a worker: the phase it is in, and how much of it is done."""

    phase: Phase
    done: int = 0
    total: int = 0


def make_task(plan: Plan, planned: PlannedCell, folder: Path) -> Task:
    """Return the task of one planned cell."""
    return Task(
        planned=planned,
        model=plan.matrix.model,
        measure=plan.matrix.measure,
        prompts=plan.prompts_of(planned),
        seeds=plan.seeds_of(planned),
        device=plan.machine.device,
        cores=plan.machine.cpu_cores,
        uses_torch=plan.model.uses_torch,
        folder=folder,
    )
