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

_MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors format."""
_POINTER_BEGIN = b"version https://git-lfs.github.com/spec/"
_MAX_POINTER_BYTES = 1024
"""The limit of the Git LFS specification."""
_REBUILDS = {("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter")}


class Tensor(NamedTuple):
    """Number format (as safetensors spells it, such as F16; empty if unknown) and shape."""

    dtype: str
    shape: tuple[int, ...]


Header = Mapping[str, Tensor]


def read_header(path: Path) -> dict[str, Tensor]:
    """Return name → tensor of a safetensors file, or of a file written by torch.save.

    Raises UsageError for a file that is unreadable, truncated, a Git LFS pointer, or of another
    format.
    """
    refuse_pointers((path,))
    if path.suffix != ".safetensors":
        return {name: Tensor("", shape) for name, shape in read_pickled_shapes(path).items()}
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(size, _MAX_HEADER_BYTES):
                raise ValueError(f"a header of {length} bytes")
            entries = json.loads(file.read(length))
        entries.pop("__metadata__", None)
        tensors = {name: Tensor(str(e["dtype"]), tuple(e["shape"])) for name, e in entries.items()}
        ends = [int(entry.get("data_offsets", (0, 0))[1]) for entry in entries.values()]
    except OSError as error:
        what = f"cannot read the file: {error.strerror}"
        raise UsageError(what, str(path), "Name a .safetensors file.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        fix = (
            "Download it again. Pickled checkpoints (.ckpt, .pt) cannot be renamed to .safetensors."
        )
        raise UsageError("this is not a safetensors file", str(path), fix) from error
    needed = 8 + length + max(ends, default=0)
    if size < needed:
        what = f"the file is truncated: it has {format_bytes(size)} of {format_bytes(needed)}"
        raise UsageError(what, str(path), "Download it again.")
    return tensors


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return name → shape of a weight file; raises as `read_header`."""
    return {name: tensor.shape for name, tensor in read_header(path).items()}


def read_pickled_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return name → shape of a torch checkpoint, in the zip format since torch 1.6.

    Executes no pickled code. Raises UsageError for other files, and for pickles of anything but
    named tensors.
    """
    fix = "Save the weights alone, as safetensors."
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(name) as file:
                loaded = _ShapeUnpickler(file).load()
    except (zipfile.BadZipFile, StopIteration, OSError, EOFError) as error:
        raise UsageError("this is not a torch checkpoint", str(path), fix) from error
    except (pickle.UnpicklingError, AttributeError, TypeError, ValueError) as error:
        what = f"the checkpoint contains more than tensors ({error})"
        raise UsageError(what, str(path), fix) from error
    if not isinstance(loaded, dict) or not all(isinstance(s, tuple) for s in loaded.values()):
        raise UsageError("the checkpoint does not contain named tensors", str(path), fix)
    return dict(loaded)


class _ShapeUnpickler(pickle.Unpickler):
    """Replaces each tensor by its shape and refuses all other classes, so no pickled code runs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _REBUILDS:
            return _rebuild_shape
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name.endswith("Storage"):
            return name
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, identity: Any) -> None:
        """Skip the data of a tensor."""


def _rebuild_shape(first: Any, *rest: Any) -> tuple[int, ...]:
    """A tensor is rebuilt from (storage, offset, size, …), a parameter from (tensor, …)."""
    return tuple(first if isinstance(first, tuple) else rest[1])


def refuse_pointers(paths: Iterable[Path]) -> None:
    """Raise UsageError for the first Git LFS pointer; unreadable files are skipped."""
    for path in paths:
        text = _read_pointer(path)
        if text:
            size = re.search(rb"^size (\d+)", text, re.MULTILINE)
            bytes_ = f" ({format_bytes(int(size[1]))})" if size else ""
            fix = "Run `git lfs pull` in the clone, or download the file with `hf download`."
            what = f"this is a Git LFS pointer instead of the file{bytes_}"
            raise UsageError(what, str(path), fix)


def _read_pointer(path: Path) -> bytes:
    try:
        content = path.read_bytes() if path.stat().st_size <= _MAX_POINTER_BYTES else b""
    except OSError:
        return b""
    return content if content.startswith(_POINTER_BEGIN) else b""
