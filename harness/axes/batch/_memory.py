"""How many images fit into memory: a bound the plan can know, and a search by trial where it cannot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.core.axis import Context
from harness.core.machine import Machine

HALF_BYTES = 2
"""Of one number in the narrowest format that VAEs decode in."""


def memory_bytes(machine: Machine) -> int:
    """Return the bytes of the device that cells run on."""
    return machine.gpus[0].memory_bytes if machine.gpus else machine.memory_bytes


def least_bytes(context: Context, images: int) -> int:
    """Return what a call of this many images needs at the very least.

    All images of a call are decoded at once: the VAE's last block holds `images` × channels × height × width numbers.
    Zero where the model has no folder to tell.
    """
    path = Path(context.model.folder) / "vae" / "config.json"
    if not context.model.folder or not path.is_file():
        return 0
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    channels = (config.get("decoder_block_out_channels") or config.get("block_out_channels") or [3])[0]
    size = context.values["resolution"].call_options()
    return int(images * channels * size["width"] * size["height"] * HALF_BYTES)


def largest_that_fits(fits: Callable[[int], bool], limit: int) -> int:
    """Return the largest number up to `limit` that fits, given that smaller ones fit too; 0 if not even one does.

    Doubles until one does not fit, then bisects.
    """
    good, bad = 0, limit + 1
    trial = 1
    while trial < bad:
        if fits(trial):
            good, trial = trial, min(2 * trial, limit) if trial < limit else limit + 1
        else:
            bad = trial
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good
