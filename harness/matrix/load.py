"""Read a matrix file and report every mistake in it at once, with file, key and a suggestion."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from harness.core.catalog import did_you_mean
from harness.core.errors import MatrixError, UsageError
from harness.core.matrix import Matrix
from harness.matrix.check import find_problems


def load_matrix(path: Path) -> tuple[Matrix, str]:
    """Return the matrix of a TOML file and the file's text.

    Raises UsageError if the file cannot be read and MatrixError with all mistakes it holds.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        fix = "Start from matrices/quickstart.toml."
        raise UsageError(f"cannot read the matrix file: {error.strerror}", str(path), fix) from error
    except UnicodeDecodeError as error:
        raise MatrixError([f"not UTF-8 text: {error.reason} at byte {error.start}"], str(path)) from error
    return parse_matrix(text, str(path)), text


def parse_matrix(text: str, where: str = "matrix") -> Matrix:
    """Return the matrix that TOML text describes; MatrixError with all mistakes, named by `where` and key."""
    try:
        document = tomllib.loads(text)
    except ValueError as error:  # not TOML, or a number of thousands of digits
        raise MatrixError([f"not TOML: {error}"], where) from error
    problems: list[str] = []
    try:
        matrix = Matrix.model_validate(document)
    except ValidationError as error:
        problems = list(dict.fromkeys(_describe(entry) for entry in error.errors()))
        raise MatrixError(problems + find_problems(_lenient(document)), where) from error
    problems = find_problems(matrix)
    if problems:
        raise MatrixError(problems, where)
    return matrix


def _describe(entry: Any) -> str:
    """One pydantic error as a person would say it."""
    location = [part for part in entry["loc"] if part not in _UNION_WORDS]
    key = ".".join(str(part) for part in location)
    kind = entry["type"]
    if len(location) < len(entry["loc"]):
        return f"{key}: a name, a number or a table with `name` and options, got {entry['input']!r}"
    if kind == "extra_forbidden":
        return f"{key}: unknown key. {did_you_mean(str(location[-1]), _known_keys(location[:-1]))}"
    if kind == "missing":
        return f"{key}: this key is required"
    if kind == "string_pattern_mismatch":
        return f"{key}: letters, digits, '.', '_' and '-' only, got {entry['input']!r}"
    return f"{key}: {entry['msg'][0].lower()}{entry['msg'][1:]}, got {entry['input']!r}"


_UNION_WORDS = {"bool", "int", "float", "str", "dict[str,union[bool,int,float,str]]", "dict"}


def _known_keys(location: list[Any]) -> list[str]:
    """Return the keys allowed at a place of the matrix."""
    model: Any = Matrix
    for part in location:
        field = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = field.annotation if field else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _lenient(document: dict[str, Any]) -> Matrix | None:
    """The parts that are right by themselves, so that mistakes in axes are reported together with the others."""
    axes = document.get("axes")
    if not isinstance(axes, dict) or not all(isinstance(entries, list) and entries for entries in axes.values()):
        return None
    try:
        return Matrix.model_validate({"name": "partial", "axes": axes})
    except ValidationError:
        return None
