"""Named models that ship with the package: configurations without weights, and component sizes."""

import tomllib
from functools import cache
from pathlib import Path

from harness.core.base import Frozen
from harness.core.catalog import did_you_mean
from harness.core.errors import UsageError

FOLDER = Path(__file__).parent / "configurations"


class Configuration(Frozen):
    """A named model: its Hub id, the source of its configuration, weights per component."""

    title: str
    id: str
    source: str
    parameters: dict[str, int]
    guidance: float | None = None
    """Set if it differs from the family's default."""


@cache
def read_configurations() -> dict[str, Configuration]:
    """Return the named models by name."""
    document = tomllib.loads((FOLDER / "models.toml").read_text(encoding="utf-8"))
    return {name: Configuration.model_validate(table) for name, table in document.items()}


def find_configuration(name: str) -> Path:
    """Return the folder of a named model, in diffusers' layout without weights, or UsageError."""
    known = read_configurations()
    if name not in known:
        raise UsageError(f'no configuration is named "{name}"', fix=did_you_mean(name, known))
    return FOLDER / name
