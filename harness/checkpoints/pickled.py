"""Shapes of the tensors in a file of torch.save, read without torch, and without running what a pickle may contain."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

from harness.core.errors import UsageError

REBUILT = {("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter")}


def pickled_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return name → shape of a checkpoint in the zip form that torch writes since 1.6.

    Raises UsageError for any other file, and for one that holds more than tensors by name.
    """
    fix = "Save the weights alone, as safetensors."
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(name) as file:
                held = _Shapes(file).load()
    except (zipfile.BadZipFile, StopIteration, OSError, EOFError) as error:
        raise UsageError("this is no checkpoint of torch", str(path), fix) from error
    except (pickle.UnpicklingError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"it holds more than tensors ({error})", str(path), fix) from error
    if not isinstance(held, dict) or not all(isinstance(shape, tuple) for shape in held.values()):
        raise UsageError("it does not hold tensors by name", str(path), fix)
    return dict(held)


class _Shapes(pickle.Unpickler):
    """Puts the size of each tensor in its place; names no code but that, so none is run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in REBUILT:
            return _size
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name.endswith("Storage"):
            return name
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, identity: Any) -> None:
        """Leave the numbers where they are."""


def _size(held: Any, *rest: Any) -> tuple[int, ...]:
    """A tensor is rebuilt from (storage, offset, size, …), a parameter from (tensor, …)."""
    return tuple(held if isinstance(held, tuple) else rest[1])
