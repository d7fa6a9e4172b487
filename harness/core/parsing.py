"""From TOML text to a typed record, with every mistake said as a person would."""

import tomllib
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from harness.core.catalog import did_you_mean

Model = TypeVar("Model", bound=BaseModel)
_UNION_WORDS = {"bool", "int", "float", "str", "dict[str,union[bool,int,float,str]]", "dict"}


def read_toml(text: str) -> tuple[dict[str, Any], list[str]]:
    """Return the document of TOML text, and the problem if it is none."""
    try:
        return tomllib.loads(text), []
    except ValueError as error:  # not TOML, or a number of thousands of digits
        return {}, [f"not TOML: {error}"]


def read_record(model: type[Model], document: dict[str, Any]) -> tuple[Model | None, list[str]]:
    """Return the record a document describes, or None and all mistakes, each with its key."""
    try:
        return model.model_validate(document), []
    except ValidationError as error:
        return None, list(dict.fromkeys(_describe(model, entry) for entry in error.errors()))


def _describe(model: type[BaseModel], entry: Any) -> str:
    """One pydantic error as a person would say it."""
    location = [part for part in entry["loc"] if part not in _UNION_WORDS]
    key = ".".join(str(part) for part in location)
    kind = entry["type"]
    if len(location) < len(entry["loc"]):
        return f"{key}: a name, a number or a table with `name` and options, got {entry['input']!r}"
    if kind == "extra_forbidden":
        return f"{key}: unknown key. {did_you_mean(str(location[-1]), _known_keys(model, location[:-1]))}"
    return f"{key}: {_mistake(entry, key)}"


def _mistake(entry: Any, key: str) -> str:
    kind, given = entry["type"], entry["input"]
    if kind == "value_error":
        return str(entry["msg"]).removeprefix("Value error, ")
    if kind == "missing":
        return "this key is required"
    if kind == "tuple_type" and isinstance(given, dict):
        return f"a list of tables is meant: write [[{key}]], not [{key}]"
    if kind == "literal_error" and isinstance(given, str):
        known = [word.strip("'") for word in entry["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f'unknown word "{given}". {did_you_mean(given, known)}'
    if kind == "string_pattern_mismatch":
        return f"letters, digits, '.', '_' and '-' only, got {given!r}"
    return f"{entry['msg'][0].lower()}{entry['msg'][1:]}, got {given!r}"


def _known_keys(root: type[BaseModel], location: list[Any]) -> list[str]:
    """Return the keys allowed at a place of a document."""
    model: Any = root
    for part in location:
        if isinstance(part, int):  # an item of a list: the list's annotation is tuple[Item, ...]
            model = get_args(model)[0] if get_args(model) else None
            continue
        field = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = field.annotation if field else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
