"""Where the model comes from, as the plan tells it: what was left open is fixed, what is fetched is counted."""

from harness.core.matrix import Model
from harness.core.model import ModelInfo
from harness.core.units import format_bytes


def pinned(model: Model, info: ModelInfo) -> Model:
    """Return the matrix's model with what it left open decided, so that all cells load the same commit."""
    return model.model_copy(update={"options": {**model.options, **info.pins}})


def model_notes(info: ModelInfo) -> list[str]:
    """Return what a plan says of its model: what it has to say itself, and what is fetched before the first cell."""
    if info.download is None:
        return list(info.notes)
    files, missing = info.download.files, len(info.download.missing)
    if not missing:
        size = format_bytes(info.download.size_bytes)
        return [*info.notes, f"model files: {files}, {size}, all in the cache"]
    here = f"{files - missing} of {files} are in the cache" if missing < files else "none is in the cache"
    size = format_bytes(info.download.missing_bytes)
    return [*info.notes, f"download before the first cell: {missing} files, {size} ({here})"]
