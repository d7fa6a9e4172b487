"""Decide the axes a matrix leaves open, and name the cell."""

import hashlib
import re
from collections.abc import Mapping

from harness.axes import all_axes, read_entry, resolve_setting
from harness.core.axis import AxisValue, Cell, Setting
from harness.core.machine import Machine
from harness.core.model import ModelInfo

Wish = Mapping[str, Setting]

ALWAYS_NAMED = ("steps", "precision")
"""Axes that stand in every cell id, even at their defaults: nobody should have to guess them."""


def resolve_cell(wish: Wish, model: ModelInfo, machine: Machine) -> Cell:
    """Return the cell a wish means.

    An axis left open takes what another value of the cell brings (an LCM-LoRA brings its scheduler), else the
    model's own default, else the axis's.
    """
    defaults = _defaults(wish, model)
    settings = tuple(_concrete(wish.get(axis.name) or defaults[axis.name], machine) for axis in all_axes())
    named = [s for s in settings if s.axis in ALWAYS_NAMED or s != _concrete(defaults[s.axis], machine)]
    return Cell(
        id="_".join(_word(setting) for setting in named),
        settings=settings,
        build_key=_digest(s for s in settings if resolve_setting(s).affects == "build"),
        call_key=_digest(s for s in settings if resolve_setting(s).affects == "call"),
    )


def live_values(cell: Cell) -> dict[str, AxisValue]:
    """Return axis → live value of a cell."""
    return {setting.axis: resolve_setting(setting) for setting in cell.settings}


def fingerprints(cell: Cell, model: ModelInfo) -> dict[str, str]:
    """Return axis → hash of the files that its value reads, of the axes that read any."""
    found = ((axis, value.fingerprint(model)) for axis, value in live_values(cell).items())
    return {axis: fingerprint for axis, fingerprint in found if fingerprint}


def _defaults(wish: Wish, model: ModelInfo) -> dict[str, Setting]:
    names = {axis.name: axis.default for axis in all_axes()}
    names |= {"guidance": f"{model.guidance:g}", "resolution": f"{model.width}x{model.height}"}
    for setting in wish.values():
        names |= resolve_setting(setting).brings(model)
    return {axis: read_entry(axis, str(name)) for axis, name in names.items()}


def _concrete(setting: Setting, machine: Machine) -> Setting:
    if setting.axis == "precision" and setting.name == "auto":
        return Setting(axis="precision", name="fp16" if machine.native_fp16 else "fp32")
    return setting


def _word(setting: Setting) -> str:
    """A setting as part of a file name; options that cannot stand there are shortened to a hash."""
    label = resolve_setting(setting).label(setting.name)
    options = str(setting).partition("+")[2]
    word = f"{label}+{options}" if options else label
    safe = re.sub(r"[^A-Za-z0-9.=+-]+", "-", word)
    return word if safe == word and len(word) <= 60 else f"{safe[:48]}~{hashlib.sha256(word.encode()).hexdigest()[:8]}"


def _digest(settings: object) -> str:
    words = " ".join(f"{setting.axis}={setting}" for setting in settings)  # type: ignore[attr-defined]
    return hashlib.sha256(words.encode()).hexdigest()[:16]
