"""The matrices that ship: `matrices/` of the repository, which packaging puts beside this file."""

from pathlib import Path

from harness.core.catalog import did_you_mean
from harness.core.errors import UsageError

_PACKAGED = Path(__file__).parent / "matrices"
_REPOSITORY = Path(__file__).parents[2] / "matrices"


def _folder() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _REPOSITORY


def matrix_names() -> tuple[str, ...]:
    """Return the names of the shipped matrices."""
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


def is_shipped(name: Path) -> bool:
    """Return whether a word names a shipped matrix; a file of that name in the working folder comes first."""
    return str(name) in matrix_names() and not name.exists()


def find_matrix(name: Path) -> Path:
    """Return the file of a matrix: a path, or a shipped matrix's name; UsageError for a word that is neither."""
    if is_shipped(name):
        return _folder() / f"{name}.toml"
    if name.suffix or len(name.parts) != 1 or name.exists():
        return name
    what = f'no shipped matrix is called "{name}", and no file'
    raise UsageError(what, fix=did_you_mean(str(name), matrix_names()))


def matrix_text(name: str, file: str) -> str:
    """Return the text of a shipped matrix, whose commands name `file`; UsageError for an unknown name."""
    if name not in matrix_names():
        raise UsageError(f'no shipped matrix is called "{name}"', fix=did_you_mean(name, matrix_names()))
    text = (_folder() / f"{name}.toml").read_text(encoding="utf-8")
    return text.replace(f"matrices/{name}.toml", file)
