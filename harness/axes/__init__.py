"""The axes of a matrix: one folder per axis, one file per value."""

import importlib
from collections.abc import Iterable
from functools import cache

from pydantic import ValidationError

from harness.core.axis import Axis, AxisValue, Scalar, Setting
from harness.core.catalog import did_you_mean, list_names, resolve
from harness.core.errors import UsageError
from harness.core.parsing import boolean_mistakes, describe_mistakes


@cache
def load_axes() -> tuple[Axis, ...]:
    """Return every axis in canonical order."""
    axes = (get_axis(name) for name in list_names("harness.axes", folders=True))
    return tuple(sorted(axes, key=lambda axis: axis.order))


def get_axis(name: str) -> Axis:
    """Return an axis; UsageError with a suggestion for an unknown name."""
    known = list_names("harness.axes", folders=True)
    if name not in known:
        raise UsageError(f'unknown axis "{name}". {did_you_mean(name, known)}')
    axis: Axis = importlib.import_module(_name_package(name)).AXIS
    return axis


def list_value_names(axis: str) -> tuple[str, ...]:
    """Return the named values of an axis; none for an axis that takes numbers."""
    open_value = get_axis(axis).open_value
    return tuple(name for name in list_names(_name_package(axis)) if name != open_value)


def read_entry(axis: str, entry: Scalar | dict[str, Scalar]) -> Setting:
    """Return the setting of a matrix entry.

    An entry is `50`, `"fp16"`, `"fp8-quanto+activations"` or `{name = …, option = …}`. Raises
    UsageError for an unknown axis, value or option, and for an option of the wrong type.
    """
    if isinstance(entry, dict):
        options = dict(entry)
        if "name" not in options:
            raise UsageError(f'a value of "{axis}" written as a table needs a key "name"')
        name = str(options.pop("name"))
    elif isinstance(entry, bool):
        raise UsageError(f'true/false is not a value of "{axis}"')
    else:
        name, *words = str(entry).split("+")
        options = dict(_read_option(word) for word in words)
    value = resolve_setting(Setting(axis=axis, name=name, options=tuple(sorted(options.items()))))
    fields = type(value).model_fields
    shown = {key: getattr(value, key) for key in sorted(options)}
    changed = {key: given for key, given in shown.items() if given != fields[key].default}
    if name not in list_value_names(axis):  # one spelling: `64X64` and `64x64`, `3.0` and `3`
        name = str(resolve_setting(Setting(axis=axis, name=name)))
    return Setting(axis=axis, name=name, options=tuple(changed.items()))


def resolve_setting(setting: Setting) -> AxisValue:
    """Return the value of a setting, with validated options; imports one file."""
    axis, package = get_axis(setting.axis), _name_package(setting.axis)
    known = list_value_names(axis.name)
    if setting.name in known:
        value, fixed = resolve(package, setting.name, AxisValue)(), frozenset[str]()
    elif axis.open_value is None:
        hint = did_you_mean(setting.name, known)
        raise UsageError(f'unknown {axis.name} "{setting.name}". {hint}')
    else:
        kind = resolve(package, axis.open_value, AxisValue)
        try:
            value, fixed = kind.parse(setting.name), frozenset(kind.model_fields)
        except ValueError as error:
            what = f'{axis.name} = "{setting.name}": {_describe_first_mistake(error)}'
            raise UsageError(what) from error
    return _set_options(value, setting, set(type(value).model_fields) - fixed)


def collect_call_options(values: Iterable[AxisValue]) -> dict[str, float]:
    """Return the call options of a cell's values: steps, guidance, width, height, batch."""
    return {key: option for value in values for key, option in value.call_options().items()}


def _name_package(axis: str) -> str:
    return f"harness.axes.{axis.replace('-', '_')}"


def _set_options(value: AxisValue, setting: Setting, known: set[str]) -> AxisValue:
    for key, _ in setting.options:
        if key not in known:
            hint = did_you_mean(key, known) if known else "It has none."
            raise UsageError(f'{setting.axis} "{setting.name}" has no option "{key}". {hint}')
    if wrong := boolean_mistakes(type(value), dict(setting.options)):
        raise UsageError(f'{setting.axis} "{setting.name}": {wrong[0]}')
    try:
        return type(value).model_validate({**value.model_dump(), **dict(setting.options)})
    except ValidationError as error:
        what = f'{setting.axis} "{setting.name}": {_describe_first_mistake(error)}'
        raise UsageError(what) from error


def _read_option(word: str) -> tuple[str, Scalar]:
    key, separator, text = word.partition("=")
    if not separator:
        return key, True
    for read in (int, float):
        try:
            return key, read(text)
        except ValueError:
            continue
    return key, {"true": True, "false": False}.get(text, text)


def _describe_first_mistake(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return describe_mistakes(AxisValue, error)[0]
    return str(error)
