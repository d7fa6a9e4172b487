"""Read TOML text into typed records, with every mistake explained; paths that users write."""

import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import platformdirs
from pydantic import BaseModel, BeforeValidator, ValidationError

from harness.core.catalog import did_you_mean
from harness.core.errors import MatrixError, UsageError

Model = TypeVar("Model", bound=BaseModel)
LONGEST_SHOWN = 80
"""Characters of a wrong value that are shown."""

_LISTS = {"tuple_type", "list_type", "set_type", "frozen_set_type"}
_TABLES = {"dict_type", "mapping_type", "model_type", "model_attributes_type"}
_LENGTHS = {
    "too_short": "needs at least {min_length}",
    "too_long": "takes at most {max_length}",
    "string_too_long": "takes at most {max_length} characters",
}
_SCALARS = {
    "string_type": "text in quotation marks",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
"""Pydantic's names of mistakes, and what should be there, in TOML's words instead of Python's."""

_UNION_WORDS = {"bool", "int", "float", "str", "dict[str,union[bool,int,float,str]]", "dict"}


def read_text(path: Path, kind: str, fix: str, error: type[MatrixError]) -> str:
    """Return the text of a user's file of a `kind`, such as "matrix file".

    Raises UsageError with `fix` if it cannot be read, and `error` if it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as problem:
        what = f"cannot read the {kind}: {problem.strerror}"
        raise UsageError(what, str(path), fix) from problem
    except UnicodeDecodeError as problem:
        mistake = f"not UTF-8 text: {problem.reason} at byte {problem.start}"
        raise error([mistake], str(path)) from problem


def read_toml(text: str) -> tuple[dict[str, Any], list[str]]:
    """Return the document of TOML text, and the problem if it is not TOML."""
    try:
        return tomllib.loads(
            text.removeprefix("\ufeff")
        ), []  # some editors begin a file with a byte order mark
    except ValueError as error:  # not TOML, or a number of thousands of digits
        return {}, [f"not TOML: {error}"]


def read_record(model: type[Model], document: dict[str, Any]) -> tuple[Model | None, list[str]]:
    """Return the record a document describes, or None and all mistakes, each with its key."""
    wrong = boolean_mistakes(model, document)
    try:
        found = model.model_validate(document)
    except ValidationError as error:
        known = {_read_key(problem) for problem in wrong}
        return None, wrong + [
            mistake
            for mistake in describe_mistakes(model, error)
            if _read_key(mistake) not in known
        ]
    return (None, wrong) if wrong else (found, [])


def _read_key(mistake: str) -> str:
    return mistake.partition(": ")[0]


def boolean_mistakes(model: type[BaseModel], document: Mapping[str, Any]) -> list[str]:
    """Return a mistake for every true or false where a number belongs, which pydantic would read as
    1 or 0."""
    problems = []
    for location, given in _leaves(document, ()):
        kinds = _scalars(_annotation(model, list(location))) if isinstance(given, bool) else set()
        if kinds & {int, float} and bool not in kinds:
            kind = _SCALARS["float_type" if float in kinds else "int_type"]
            problems.append(f"{'.'.join(map(str, location))}: should be {kind}, got {_toml(given)}")
    return problems


def describe_mistakes(model: type[BaseModel], error: ValidationError) -> list[str]:
    """Return every mistake that pydantic found once, each with its key, in TOML's words."""
    return list(dict.fromkeys(_describe(model, entry) for entry in error.errors()))


def _describe(model: type[BaseModel], entry: Any) -> str:
    """Return one pydantic error in plain words."""
    location = [part for part in entry["loc"] if part not in _UNION_WORDS]
    key = ".".join(str(part) for part in location)
    kind = entry["type"]
    if len(location) < len(entry["loc"]):
        meant = "a name, a number or a table with `name` and options"
        return f"{key}: {meant}, got {_toml(entry['input'])}"
    if kind == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        return f"{key}: unknown key. {did_you_mean(str(location[-1]), known)}"
    mistake = _mistake(model, entry, location)
    return f"{key}: {mistake}" if key else mistake


def _mistake(model: type[BaseModel], entry: Any, location: list[Any]) -> str:
    kind, given = entry["type"], entry["input"]
    if kind == "value_error":
        return str(entry["msg"]).removeprefix("Value error, ")
    if kind == "missing":
        return "this key is required"
    if kind == "literal_error" and isinstance(given, str):
        known = [
            word.strip("'") for word in entry["ctx"]["expected"].replace(" or ", ", ").split(", ")
        ]
        return f'unknown word "{given}". {did_you_mean(given, known)}'
    key = ".".join(str(part) for part in location)
    if kind in _LISTS and _holds_tables(model, location):
        return f"a list of tables is meant: write [[{key}]], not [{key}]"
    return f"{_expected(entry, key)}, got {_toml(given)}"


def _expected(entry: Any, key: str) -> str:
    kind, given = entry["type"], entry["input"]
    if kind == "string_pattern_mismatch":
        return "letters, digits, '.', '_' and '-' only"
    if kind in _LENGTHS:
        return _LENGTHS[kind].format(**entry["ctx"])
    if kind in _LISTS:
        return f"should be a list, such as {'[…]' if isinstance(given, dict) else _toml([given])}"
    if kind in _TABLES:
        in_list = isinstance(entry["loc"][-1], int)
        example = "{ key = value }" if in_list else f"[{key}] with its keys below"
        return f"should be a table, such as {example}"
    return f"should be {_SCALARS.get(kind) or str(entry['msg']).removeprefix('Input should be ')}"


def _toml(value: Any) -> str:
    """Return a value as TOML spells it, shortened."""
    if isinstance(value, dict):
        text = "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    elif isinstance(value, list):
        text = "[" + ", ".join(map(_toml, value)) + "]"
    else:
        text = (
            json.dumps(value, ensure_ascii=False) if isinstance(value, bool | str) else str(value)
        )
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def _holds_tables(root: type[BaseModel], location: list[Any]) -> bool:
    """Whether a list of tables belongs at a place of a document."""
    items = get_args(_annotation(root, location))
    return bool(items) and (get_origin(items[0]) is dict or _is_record(items[0]))


def _known_keys(root: type[BaseModel], location: list[Any]) -> list[str]:
    """Return the keys allowed at a place of a document."""
    model = _annotation(root, location)
    return list(model.model_fields) if _is_record(model) else []


def _annotation(root: type[BaseModel], location: list[Any]) -> Any:
    """Return the type of what belongs at a place of a document, or None where nothing does."""
    found: Any = root
    for part in location:
        arguments = [argument for argument in get_args(found) if argument is not NoneType]
        if isinstance(part, int):  # an item of tuple[Item, ...]
            found = arguments[0] if arguments else None
        elif _is_record(found):
            field = found.model_fields.get(str(part))
            found = field.annotation if field else None
        else:  # a value of dict[str, Value]
            found = arguments[-1] if get_origin(found) is dict else None
    return found


def _leaves(value: Any, location: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield what a document holds besides tables and lists, each with its place."""
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        yield location, value
    for key, part in parts:
        yield from _leaves(part, (*location, key))


def _scalars(annotation: Any) -> set[Any]:
    """Return the types that a value may have, those of unions and of fixed words one by one."""
    if get_origin(annotation) is Annotated:
        return _scalars(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return {kind for part in get_args(annotation) for kind in _scalars(part)}
    if get_origin(annotation) is Literal:
        return {type(word) for word in get_args(annotation)}
    return {annotation}


def _is_record(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _refuse_empty(path: Any) -> Any:
    if isinstance(path, str) and not path.strip():
        raise ValueError("empty; name a file or folder, or . for the current one")
    return path


CACHE_VARIABLE = "HARNESS_CACHE"
"""Names another folder for caches. Worker processes inherit it, so that all use the folder that was
found first."""

GivenPath = Annotated[Path, BeforeValidator(_refuse_empty)]
"""A path from a user: an empty one is a mistake, not the current folder."""


def has_home() -> bool:
    """Return whether the user has a home folder that `~` can stand for."""
    try:
        Path("~").expanduser()
    except RuntimeError:
        return False
    return True


def expand_user(path: str | Path) -> Path:
    """Return a path with `~` or `~name` at its start replaced by the home folder.

    Raises UsageError if there is no such user, or no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        fix = "Write the whole path, or begin it with ./ if a folder has this name."
        raise UsageError("the home folder for ~ is unknown", str(path), fix) from error


def cache_path() -> Path:
    """Return the folder of caches: HARNESS_CACHE or the user's own; a relative one for a user
    without a home folder."""
    try:
        return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("harness"))
    except RuntimeError:  # neither HOME nor an entry in passwd
        return Path("~/.cache/harness")
