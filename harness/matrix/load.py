"""Find and read a matrix file, and report every mistake in it at once, with file, key and a
suggestion."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.core.catalog import did_you_mean
from harness.core.errors import MatrixError, UsageError
from harness.core.matrix import Matrix, Model
from harness.core.parsing import expand_user, read_record, read_text, read_toml
from harness.core.policy import Policy
from harness.matrix.check import find_problems
from harness.matrix.policy import load_policy, rule_problems, unmeasured
from harness.models import read_model, resolve_source


def load_matrix(
    path: Path, policy: str | None = None, model: str | None = None
) -> tuple[Matrix, str, Policy]:
    """Return the matrix of a TOML file or of a shipped name, its text, and its policy with the
    matrix's own rules.

    `policy`, a name or a file, replaces both; `model`, spelled as in a matrix, replaces the file's.
    Raises UsageError if a file cannot be read, and MatrixError with all mistakes of the matrix or
    PolicyError with those of its policy.
    """
    path = find_matrix(expand_user(path))
    fix = f"{did_you_mean(path.stem, matrix_names())} Or write your own: harness init quickstart"
    text = read_text(path, "matrix file", fix, MatrixError)
    matrix = parse_matrix(text, str(path), model)
    found = load_policy(policy) if policy is not None else load_policy(matrix.policy, path.parent)
    place = f'policy "{found.name}": gate'
    problems = rule_problems(found.gate, place, matrix.quality.metrics) + unmeasured(
        found.gate, place, matrix
    )
    if problems:
        raise MatrixError(problems, str(path))
    return matrix, text, found if policy is not None else found.extended(matrix.gate)


def parse_matrix(text: str, where: str = "matrix", model: str | None = None) -> Matrix:
    """Return the matrix that TOML text describes; MatrixError with all mistakes, named by `where`
    and key.

    `model` takes the place of the text's own.
    """
    document, problems = read_toml(text)
    if problems:
        raise MatrixError(problems, where)
    document, unread = _with_model(document, model)
    matrix, problems = read_record(Matrix, _with_defaults(document))
    problems += [*unread, *find_problems(matrix or _lenient(document))]
    if matrix is None or problems:
        raise MatrixError(problems, where)
    return matrix


def _with_model(document: dict[str, Any], model: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the document with its model as a record, and the mistake if the model is not valid."""
    entry = document.get("model") if model is None else model
    if entry is None:
        return document, []
    rest = {key: part for key, part in document.items() if key != "model"}
    try:
        return {**rest, "model": read_model(entry)}, []
    except UsageError as error:
        return rest, [f"model: {error.what}. {error.fix}"]


def _with_defaults(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the default prompts and metrics of its model."""
    try:
        source = resolve_source(document.get("model", Model()))
    except UsageError:
        return document
    filled = dict(document)
    for part, key, value in (
        ("prompts", "set", source.prompt_set),
        ("quality", "metrics", source.metrics),
    ):
        given = filled.get(part, {})
        if isinstance(given, dict):
            filled[part] = {key: value, **given}
    return filled


def _lenient(document: dict[str, Any]) -> Matrix | None:
    """Return a matrix of the valid axes, so that mistakes in axes are reported with the others."""
    axes = document.get("axes")
    if not isinstance(axes, dict) or not all(
        isinstance(entries, list) and entries for entries in axes.values()
    ):
        return None
    try:
        return Matrix.model_validate({"name": "partial", "axes": axes})
    except ValidationError:
        return None


_PACKAGED = Path(__file__).parent / "matrices"
_REPOSITORY = Path(__file__).parents[2] / "matrices"


def _folder() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _REPOSITORY


def matrix_names() -> tuple[str, ...]:
    """Return the names of the shipped matrices."""
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


def is_shipped(name: Path) -> bool:
    """Return whether a word names a shipped matrix; a file of that name in the working folder comes
    first."""
    return str(name) in matrix_names() and not name.exists()


def find_matrix(name: Path) -> Path:
    """Return the file of a matrix: a path, or a shipped matrix's name; UsageError for a word that
    is neither."""
    if is_shipped(name):
        return _folder() / f"{name}.toml"
    if name.suffix or len(name.parts) != 1 or name.exists():
        return name
    what = f'no shipped matrix is called "{name}", and no file'
    raise UsageError(what, fix=did_you_mean(str(name), matrix_names()))


def matrix_text(name: str, file: str) -> str:
    """Return the text of a shipped matrix, whose commands name `file`; UsageError for an unknown
    name."""
    if name not in matrix_names():
        raise UsageError(
            f'no shipped matrix is called "{name}"', fix=did_you_mean(name, matrix_names())
        )
    text = (_folder() / f"{name}.toml").read_text(encoding="utf-8")
    return text.replace(f"matrices/{name}.toml", file)
