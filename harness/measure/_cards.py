"""The cards that torch sees, as NVML's handles: NVML counts all of the machine's."""

import os
from collections.abc import Iterator
from typing import Any

from harness.core.units import Absent

ADVICE = {
    "NVMLError_LibraryNotFound": "the library that comes with NVIDIA's driver (libnvidia-ml) is not there",
    "NVMLError_DriverNotLoaded": "NVIDIA's driver is not loaded",
    "NVMLError_NoPermission": "refused to this user; ask for it as root, or in a container with more rights",
    "NVMLError_NotSupported": "this card does not tell it",
    "NVMLError_FunctionNotFound": "this driver is too old to tell it",
    "NVMLError_GpuIsLost": "the card has fallen off the bus; restart the machine",
    "NVMLError_LibRmVersionMismatch": "library and driver are of different versions; restart after the update",
}
"""What NVML's errors mean to a reader, by the name of their type: their own words are terse."""


def visible_cards() -> Iterator[Any]:
    """Yield the handle of each card that CUDA shows to this process, in CUDA's order; raises what NVML raises.

    As CUDA does, it reads CUDA_VISIBLE_DEVICES up to the first entry that is no card (CUDA C++ Programming Guide,
    "CUDA Environment Variables"); an index counts cards in the order of the bus (see machine.count_by_bus).
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


def whole_card(handle: Any) -> Any:
    """Return the card that a MIG slice is part of, or the card itself."""
    import pynvml

    try:
        return pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
    except pynvml.NVMLError:
        return handle


def refused(error: Exception) -> Absent:
    """Return why NVML gave no figure; it raises error types of its own, also when it is imported."""
    return Absent(absent=f"NVML: {ADVICE.get(type(error).__name__, error)}")


def _card(word: str, count: int) -> Any | None:
    """Return the card of an index, of a UUID's beginning, or of a MIG slice's whole UUID; None where there is none."""
    import pynvml

    if word.isdecimal():
        return _or_first_slice(pynvml.nvmlDeviceGetHandleByIndex(int(word))) if int(word) < count else None
    if word.startswith("MIG-"):
        return pynvml.nvmlDeviceGetHandleByUUID(word)
    cards = (pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count if word.startswith("GPU-") else 0))
    found = next((card for card in cards if _text(pynvml.nvmlDeviceGetUUID(card)).startswith(word)), None)
    return None if found is None else _or_first_slice(found)


def _or_first_slice(card: Any) -> Any:
    """Return the card, or of one that is cut into slices (MIG) the first, which is all that CUDA takes of it."""
    import pynvml

    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(card)
    except pynvml.NVMLError:  # a card that cannot be cut
        return card
    if current != pynvml.NVML_DEVICE_MIG_ENABLE:
        return card
    return pynvml.nvmlDeviceGetMigDeviceHandleByIndex(card, 0)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
