"""What an image takes of energy, from the blocks that were timed."""

from collections.abc import Sequence

from harness.core.timing import Block
from harness.core.units import Absent


def image_energy_j(blocks: Sequence[Block], batch: int) -> float | Absent:
    """Return the joules of one image: what the device drew in some blocks ÷ their images, `batch` a call.

    Blocks without a reading are left out; absent, with the first block's reason, where none has one.
    """
    known = [block for block in blocks if not isinstance(block.conditions.energy_j, Absent)]
    images = sum(len(block.repeats) for block in known) * batch
    if not images:
        reasons = (block.conditions.energy_j for block in blocks)
        return next((reason for reason in reasons if isinstance(reason, Absent)), Absent(absent="no timed calls"))
    drawn = (block.conditions.energy_j for block in known)
    return sum(energy for energy in drawn if not isinstance(energy, Absent)) / images
