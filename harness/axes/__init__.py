"""The axes of a matrix: one folder per axis, one file per value."""

import importlib
from collections.abc import Iterable
from functools import cache

from pydantic import ValidationError

from harness.core.axis import Axis, AxisValue, Scalar, Setting
from harness.core.catalog import did_you_mean, list_names, resolve
from harness.core.errors import UsageError
from harness.core.parsing import describe_mistakes


@cache
def all_axes() -> tuple[Axis, ...]:
    """Return every axis in canonical order."""
    return tuple(
        sorted((get_axis(name) for name in list_names("harness.axes", folders=True)), key=lambda axis: axis.order)
    )


def get_axis(name: str) -> Axis:
    """Return one axis; UsageError with a suggestion if there is none of that name."""
    if name not in list_names("harness.axes", folders=True):
        raise UsageError(f'unknown axis "{name}". {did_you_mean(name, list_names("harness.axes", folders=True))}')
    axis: Axis = importlib.import_module(f"harness.axes.{name.replace('-', '_')}").AXIS
    return axis


def value_names(axis: str) -> tuple[str, ...]:
    """Return the named values of an axis; empty for one that takes numbers."""
    package = f"harness.axes.{axis.replace('-', '_')}"
    return tuple(name for name in list_names(package) if name != get_axis(axis).open_value)


def read_entry(axis: str, entry: Scalar | dict[str, Scalar]) -> Setting:
    """Return the setting a matrix entry means: `50`, `"fp16"`, `"fp8-quanto+activations"` or `{name = …, option = …}`.

    Raises UsageError for an unknown axis, value or option and for an option of the wrong type.
    """
    if isinstance(entry, dict):
        options = dict(entry)
        if "name" not in options:
            raise UsageError(f'a value of "{axis}" written as a table needs a key "name"')
        name = str(options.pop("name"))
    else:
        if isinstance(entry, bool):
            raise UsageError(f'true/false is no value of "{axis}"')
        name, *words = str(entry).split("+")
        options = dict(_read_option(word) for word in words)
    setting = Setting(axis=axis, name=name, options=tuple(sorted(options.items())))
    value = resolve_setting(setting)
    shown = {key: getattr(value, key) for key in sorted(options) if value.model_fields_set and _differs(value, key)}
    return Setting(axis=axis, name=_canonical(axis, name), options=tuple(shown.items()))


def resolve_setting(setting: Setting) -> AxisValue:
    """Return the live value of a setting, its options validated; imports one file."""
    axis = get_axis(setting.axis)
    package = f"harness.axes.{axis.name.replace('-', '_')}"
    named = setting.name in list_names(package) and setting.name != axis.open_value
    if not named and axis.open_value is not None:
        try:
            parsed = resolve(package, axis.open_value, AxisValue).parse(setting.name)
        except ValueError as error:
            raise UsageError(f'{axis.name} = "{setting.name}": {_first_message(error)}') from error
        return _with_options(parsed, setting)
    if not named:
        raise UsageError(f'unknown {axis.name} "{setting.name}". {did_you_mean(setting.name, value_names(axis.name))}')
    return _with_options(resolve(package, setting.name, AxisValue)(), setting)


def call_options(values: Iterable[AxisValue]) -> dict[str, float]:
    """Return what the values of a cell say about its calls: steps, guidance, width, height, batch."""
    return {key: option for value in values for key, option in value.call_options().items()}


def _with_options(value: AxisValue, setting: Setting) -> AxisValue:
    known = set(type(value).model_fields) - _parsed_fields(setting)
    for key, _ in setting.options:
        if key not in known:
            hint = did_you_mean(key, known) if known else "It has none."
            raise UsageError(f'{setting.axis} "{setting.name}" has no option "{key}". {hint}')
    try:
        return type(value).model_validate({**value.model_dump(), **dict(setting.options)})
    except ValidationError as error:
        raise UsageError(f'{setting.axis} "{setting.name}": {_first_message(error)}') from error


def _parsed_fields(setting: Setting) -> set[str]:
    """Fields that the free name itself fills, such as the number of steps: no options."""
    axis = get_axis(setting.axis)
    if axis.open_value is None or setting.name in value_names(axis.name):
        return set()
    return set(resolve(f"harness.axes.{axis.name.replace('-', '_')}", axis.open_value, AxisValue).model_fields)


def _canonical(axis: str, name: str) -> str:
    """One spelling per value: `64X64` and `64x64`, `3.0` and `3` are the same setting."""
    value = resolve_setting(Setting(axis=axis, name=name))
    return name if name in value_names(axis) else str(value)


def _differs(value: AxisValue, key: str) -> bool:
    return bool(getattr(value, key) != type(value).model_fields[key].default)


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


def _first_message(error: ValueError) -> str:
    return describe_mistakes(AxisValue, error)[0] if isinstance(error, ValidationError) else str(error)
