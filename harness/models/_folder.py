"""A model's folder in diffusers' layout, read without torch: its configurations and what its files hold."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import UsageError

INDEX = "model_index.json"
_WHOLE_BYTES = 16 * 2**20
_BLOCK_BYTES = 2**20
_BLOCKS = 64


class Folder:
    """The configurations of a pipeline on disk; UsageError where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index: dict[str, Any] = self._read(path / INDEX)

    @property
    def pipeline_class(self) -> str:
        return str(self.index.get("_class_name", ""))

    def config(self, component: str) -> dict[str, Any]:
        """Return a component's configuration; empty for one that is not there."""
        if self.index.get(component, [None])[0] is None:
            return {}
        name = "scheduler_config.json" if component == "scheduler" else "config.json"
        return self._read(self.path / component / name)

    def files(self) -> dict[str, Path]:
        """Return every file by its name inside the folder."""
        paths = (path for path in self.path.rglob("*") if path.is_file())
        return {path.relative_to(self.path).as_posix(): path for path in paths}

    def digest(self) -> str:
        """Return a hash that changes when a file changes."""
        return digest_files(self.files())

    def _read(self, path: Path) -> dict[str, Any]:
        fix = "Name a folder that save_pretrained wrote: it holds model_index.json and one folder per component."
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"cannot read {path.name}: {error.strerror}", str(path.parent), fix) from error
        except ValueError as error:
            raise UsageError(f"{path.name} is not JSON: {error}", str(path.parent), fix) from error
        if not isinstance(content, dict):
            raise UsageError(f"{path.name} is not a JSON object", str(path.parent), fix)
        return content


def digest_files(files: Mapping[str, Path]) -> str:
    """Return a hash of files and their names.

    Large files are sampled (their size and 64 blocks spread evenly over them): the weights of a full-size model would
    take half a minute to read, for every plan.
    """
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        for block in _blocks(path):
            digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    if size <= _WHOLE_BYTES:
        yield path.read_bytes()
        return
    with path.open("rb") as file:
        for number in range(_BLOCKS):
            file.seek(number * (size - _BLOCK_BYTES) // (_BLOCKS - 1))
            yield file.read(_BLOCK_BYTES)
