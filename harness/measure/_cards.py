"""The cards that torch sees, as NVML's handles: NVML counts all of the machine's."""

import os
from collections.abc import Iterator
from typing import Any


def visible_cards() -> Iterator[Any]:
    """Yield the handle of each card that CUDA shows to this process, in CUDA's order; raises what NVML raises.

    As CUDA does, it reads CUDA_VISIBLE_DEVICES up to the first entry that is no card (CUDA C++ Programming Guide,
    "CUDA Environment Variables"); an index counts cards in the order of the bus (CUDA_DEVICE_ORDER=PCI_BUS_ID).
    """
    import pynvml

    pynvml.nvmlInit()
    count = pynvml.nvmlDeviceGetCount()
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    words = [str(index) for index in range(count)] if asked is None else asked.split(",")
    for word in words:
        handle = _card(word.strip(), count)
        if handle is None:
            return
        yield handle


def first_card() -> Any:
    """Return the handle of the card that torch calls "cuda"; LookupError where none is visible."""
    handle = next(visible_cards(), None)
    if handle is None:
        raise LookupError("CUDA_VISIBLE_DEVICES shows no card")
    return handle


def _card(word: str, count: int) -> Any | None:
    """Return the card of an index, of a UUID's beginning, or of a MIG slice's whole UUID; None where there is none."""
    import pynvml

    if word.isdecimal():
        return pynvml.nvmlDeviceGetHandleByIndex(int(word)) if int(word) < count else None
    if word.startswith("MIG-"):
        return pynvml.nvmlDeviceGetHandleByUUID(word)
    cards = (pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count if word.startswith("GPU-") else 0))
    return next((card for card in cards if _text(pynvml.nvmlDeviceGetUUID(card)).startswith(word)), None)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
