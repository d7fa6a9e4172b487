"""In which order cells are measured: those that read the same files stand together."""

from collections.abc import Sequence

from harness.core.cell import Cell
from harness.core.model import ModelInfo
from harness.planning.settle import live_values


def loading_order(baseline: Cell, cells: Sequence[Cell], model: ModelInfo) -> list[Cell]:
    """Return cells in the order in which they are measured, after the baseline.

    Every cell is loaded by a process of its own, so a large model is read once per cell: from the disk the first time,
    from the page cache afterwards, as long as nothing else pushed it out. So, from the outside in:

    1. cells that read the same files besides the model's own (weights of a distilled denoiser, a LoRA) stand together,
       those of the baseline first;
    2. among them, cells that build the same pipeline (precision, compiler, caching), so that compiled code and engines
       are found again while they are still in the page cache;
    3. else as the matrix names them.

    The number format is no level of its own: fp16 and fp32 cells read the same files.
    """
    everyone = (baseline, *cells)
    files = [_files(cell, model) for cell in everyone]
    builds = [cell.build_key for cell in everyone]
    place = {
        cell.id: (files.index(own), builds.index(cell.build_key)) for cell, own in zip(everyone, files, strict=True)
    }
    return sorted(cells, key=lambda cell: place[cell.id])


def _files(cell: Cell, model: ModelInfo) -> tuple[str, ...]:
    return tuple(found for value in live_values(cell).values() if (found := value.fingerprint(model)))
