"""Headers of weight files: names, number formats and shapes of tensors. Without torch."""

import json
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.core.errors import UsageError
from harness.core.units import format_bytes

_MOST_HEADER_BYTES = 100_000_000
"""The limit of the safetensors format."""


class Tensor(NamedTuple):
    """Number format (as safetensors spells it, such as F16; empty where unknown) and shape."""

    dtype: str
    shape: tuple[int, ...]


Header = Mapping[str, Tensor]


def read_header(path: Path) -> dict[str, Tensor]:
    """Return name → tensor of a weight file: safetensors, or what torch.save writes.

    Raises UsageError for a file that cannot be read, is of no such format or a Git LFS pointer, or is cut off.
    """
    refuse_pointers((path,))
    if path.suffix != ".safetensors":
        return {name: Tensor("", shape) for name, shape in pickled_shapes(path).items()}
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(size, _MOST_HEADER_BYTES):
                raise ValueError(f"a header of {length} bytes")
            entries = json.loads(file.read(length))
        found = {name: entry for name, entry in entries.items() if name != "__metadata__"}
        tensors = {name: Tensor(str(entry["dtype"]), tuple(entry["shape"])) for name, entry in found.items()}
    except OSError as error:
        raise UsageError(f"cannot read the file: {error.strerror}", str(path), "Name a .safetensors file.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        fix = "Download it again. Pickled checkpoints (.ckpt, .pt) cannot be renamed to .safetensors."
        raise UsageError("this is no safetensors file", str(path), fix) from error
    _refuse_cut(path, size, 8 + length + max((_end(entry) for entry in found.values()), default=0))
    return tensors


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return name → shape of a weight file; raises as `read_header`."""
    return {name: tensor.shape for name, tensor in read_header(path).items()}


def _end(entry: Mapping[str, Any]) -> int:
    return int(entry.get("data_offsets", (0, 0))[1])


def _refuse_cut(path: Path, size: int, needed: int) -> None:
    if size < needed:
        what = f"the file is cut off: it has {format_bytes(size)} of {format_bytes(needed)}"
        raise UsageError(what, str(path), "Download it again.")


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
                loaded = _Shapes(file).load()
    except (zipfile.BadZipFile, StopIteration, OSError, EOFError) as error:
        raise UsageError("this is no checkpoint of torch", str(path), fix) from error
    except (pickle.UnpicklingError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"it holds more than tensors ({error})", str(path), fix) from error
    if not isinstance(loaded, dict) or not all(isinstance(shape, tuple) for shape in loaded.values()):
        raise UsageError("it does not hold tensors by name", str(path), fix)
    return dict(loaded)


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


def _size(loaded: Any, *rest: Any) -> tuple[int, ...]:
    """A tensor is rebuilt from (storage, offset, size, …), a parameter from (tensor, …)."""
    return tuple(loaded if isinstance(loaded, tuple) else rest[1])


_BEGIN = b"version https://git-lfs.github.com/spec/"
_MOST_BYTES = 1024
"""The specification allows no longer pointer."""


def refuse_pointers(paths: Iterable[Path]) -> None:
    """Raise UsageError for the first file that is a Git LFS pointer; files that cannot be read are skipped."""
    for path in paths:
        text = _pointer(path)
        if text:
            size = re.search(rb"^size (\d+)", text, re.MULTILINE)
            meant = f" of {format_bytes(int(size[1]))}" if size else ""
            fix = "Fetch the file itself: run `git lfs pull` in the clone, or download it with `hf download`."
            raise UsageError(f"this is a Git LFS pointer, not the file{meant} it stands for", str(path), fix)


def _pointer(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return b""
        content = path.read_bytes()
    except OSError:
        return b""
    return content if content.startswith(_BEGIN) else b""
