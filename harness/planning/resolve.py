"""Resolve the settings that a matrix names into a complete cell with an id."""

import hashlib
import re
from collections.abc import Iterable, Mapping

from harness.axes import load_axes, read_entry, resolve_setting
from harness.core.axis import AxisValue, Cell, Setting
from harness.core.machine import Machine
from harness.core.model import ModelInfo

Wish = Mapping[str, Setting]

ALWAYS_NAMED = ("steps", "precision")
"""Axes that every cell id names, even at their defaults."""
_LONGEST_WORD = 60
_LONGEST_ID = 200
"""A cell id names a folder: file systems take 255 bytes."""


def resolve_cell(wish: Wish, model: ModelInfo, machine: Machine) -> Cell:
    """Return the complete cell of a wish.

    An open axis gets the value that another value brings (an LCM-LoRA brings its scheduler), else
    the model's default, else the axis's.
    """
    defaults = _defaults(wish, model)
    default = {axis: _concrete(setting, machine) for axis, setting in defaults.items()}
    found = (wish.get(axis.name) or defaults[axis.name] for axis in load_axes())
    settings = tuple(_concrete(setting, machine) for setting in found)
    named = [s for s in settings if s.axis in ALWAYS_NAMED or s != default[s.axis]]
    return Cell(
        id=shorten("_".join(_word(setting) for setting in named), _LONGEST_ID),
        settings=settings,
        build_key=_digest(s for s in settings if resolve_setting(s).affects == "build"),
        call_key=_digest(s for s in settings if resolve_setting(s).affects == "call"),
    )


def resolve_values(cell: Cell) -> dict[str, AxisValue]:
    """Return axis → value of a cell."""
    return {setting.axis: resolve_setting(setting) for setting in cell.settings}


def hash_read_files(cell: Cell, model: ModelInfo) -> dict[str, str]:
    """Return axis → hash of the files that its value reads, if any."""
    found = ((axis, value.fingerprint(model)) for axis, value in resolve_values(cell).items())
    return {axis: fingerprint for axis, fingerprint in found if fingerprint}


def _defaults(wish: Wish, model: ModelInfo) -> dict[str, Setting]:
    names = {axis.name: axis.default for axis in load_axes()}
    names |= {"guidance": f"{model.guidance:g}", "resolution": f"{model.width}x{model.height}"}
    for setting in wish.values():
        names |= resolve_setting(setting).brings(model)
    return {axis: read_entry(axis, str(name)) for axis, name in names.items()}


def _concrete(setting: Setting, machine: Machine) -> Setting:
    if setting.axis == "precision" and setting.name == "auto":
        return Setting(axis="precision", name="fp16" if machine.native_fp16 else "fp32")
    return setting


def _word(setting: Setting) -> str:
    """Return a setting as part of a file name, with a hash for options that do not fit."""
    label = resolve_setting(setting).label(setting.name)
    options = str(setting).partition("+")[2]
    word = f"{label}+{options}" if options else label
    safe = re.sub(r"[^A-Za-z0-9.=+-]+", "-", word)
    return (
        shorten(word, _LONGEST_WORD)
        if safe == word
        else _abbreviate(word, safe[: _LONGEST_WORD - 12])
    )


def shorten(name: str, longest: int) -> str:
    """Return a name of at most so many characters: a longer one ends in a hash of all of it."""
    return name if len(name) <= longest else _abbreviate(name, name[: longest - 12])


def _abbreviate(name: str, beginning: str) -> str:
    return f"{beginning}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _digest(settings: Iterable[Setting]) -> str:
    words = " ".join(f"{setting.axis}={setting}" for setting in settings)
    return hashlib.sha256(words.encode()).hexdigest()[:16]
