"""Weight files: found by path, by HARNESS_WEIGHTS, or in the usual caches; verified by sha256; never guessed."""

import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from harness.core.base import Frozen
from harness.core.errors import MachineError

VARIABLE = "HARNESS_WEIGHTS"


class WeightFile(Frozen):
    """A file a metric needs: `key` names it in `[quality.weights]`; `sha256` None: any file of the architecture."""

    key: str
    file: str
    sha256: str | None
    origin: str
    also: tuple[str, ...] = ()
    """Other file names under which the same weights are found in caches."""


@cache
def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, read once per process."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Weights(Frozen):
    """Where to look: `paths` come from the matrix (key → path), then HARNESS_WEIGHTS, then torch's cache."""

    paths: dict[str, str] = {}

    @classmethod
    def of(cls, paths: Mapping[str, str]) -> "Weights":
        """Return the places to look, with the matrix's own paths first."""
        return cls(paths=dict(paths))

    def places(self, wanted: WeightFile) -> tuple[Path, ...]:
        """Return every path that is tried for a file, in order."""
        named = [Path(self.paths[wanted.key]).expanduser()] if wanted.key in self.paths else []
        if named:
            return tuple(named)
        home = Path(os.environ.get("TORCH_HOME", Path.home() / ".cache" / "torch")).expanduser()
        folders = [Path(os.environ[VARIABLE]).expanduser()] if os.environ.get(VARIABLE) else []
        folders += [home / "hub" / "checkpoints", Path.home() / ".cache" / "clip"]
        return tuple(folder / name for folder in folders for name in (wanted.file, *wanted.also))

    def find(self, wanted: WeightFile) -> Path:
        """Return the verified path of a file.

        Raises MachineError naming the file, its sha256 and every place looked at, or a file that is not the one.
        """
        places = self.places(wanted)
        for path in places:
            if path.is_file():
                self._verify(path, wanted)
                return path
        looked = ", ".join(str(path) for path in places)
        digest = f" (sha256 {wanted.sha256})" if wanted.sha256 else ""
        fix = f"Get it from {wanted.origin} and put it there, or set {VARIABLE} to its folder."
        raise MachineError(f"weights {wanted.file}{digest} not found; looked for {looked}", wanted.key, fix)

    def _verify(self, path: Path, wanted: WeightFile) -> None:
        found = sha256_of(path)
        if wanted.sha256 is not None and found != wanted.sha256:
            what = f"this is not {wanted.file}: its sha256 is {found}, expected {wanted.sha256}"
            raise MachineError(what, str(path), f"Replace it with the file from {wanted.origin}.")
