"""What the header of a weight file says: the names, number formats and shapes of its tensors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.checkpoints.lfs import refuse_pointers
from harness.checkpoints.pickled import pickled_shapes
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
