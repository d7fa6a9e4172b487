"""Published files that cells read and that are not here: asked of the Hub once, fetched before the first cell."""

from collections.abc import Mapping

from harness.core.cell import Cell
from harness.core.model import ModelInfo
from harness.core.plan import Plan
from harness.core.published import HubFile, PublishedFile
from harness.core.units import format_bytes
from harness.planning.settle import live_values

Answers = Mapping[HubFile, PublishedFile | str]
"""What the Hub has of each file, or in words why it cannot be had."""


def files_of(cell: Cell, model: ModelInfo) -> dict[HubFile, str]:
    """Return the files that a cell lacks, each with the axis and setting that read it."""
    values = live_values(cell).items()
    return {file: f"{axis} {cell.setting(axis)}" for axis, value in values for file in value.wants(model)}


def refuse_lacking(cell: Cell, model: ModelInfo, answers: Answers) -> str | None:
    """Return why a cell cannot have a file it lacks, or None if all can be fetched."""
    for file, reader in files_of(cell, model).items():
        answer = answers.get(file, f"{file} is not in the Hugging Face cache")
        if isinstance(answer, str):
            return f"{reader}: {answer}"
    return None


def downloads_of(cell: Cell, model: ModelInfo, answers: Answers) -> tuple[PublishedFile, ...]:
    """Return what is fetched for a cell that is ready."""
    found = (answers.get(file) for file in files_of(cell, model))
    return tuple(file for file in found if isinstance(file, PublishedFile))


def note_downloads(plan: Plan) -> Plan:
    """Return the plan with a note on what is fetched for its cells, besides the model."""
    if not plan.downloads:
        return plan
    count, size = len(plan.downloads), format_bytes(sum(file.size_bytes for file in plan.downloads))
    listed = ", ".join(f"{file.file} of {file.repo}" for file in plan.downloads)
    note = f"download before the first cell: {count} file{'s' if count > 1 else ''}, {size}: {listed}"
    return plan.model_copy(update={"notes": (*plan.notes, note)})
