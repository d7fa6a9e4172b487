"""Named models as the package knows them: their configurations, without weights, and how large their parts are."""

import tomllib
from functools import cache
from pathlib import Path

from harness.core.base import Frozen
from harness.core.catalog import did_you_mean
from harness.core.errors import UsageError

FOLDER = Path(__file__).parent / "configurations"


class Configuration(Frozen):
    """One named model: where it is published, what its configuration was read from, numbers in each part's weights."""

    title: str
    id: str
    source: str
    parameters: dict[str, int]
    guidance: float | None = None
    """Where it is not used at its family's default."""


@cache
def configurations() -> dict[str, Configuration]:
    """Return the named models by name."""
    document = tomllib.loads((FOLDER / "models.toml").read_text(encoding="utf-8"))
    return {name: Configuration.model_validate(table) for name, table in document.items()}


def configuration_folder(name: str) -> Path:
    """Return the folder of a named model, in diffusers' layout without weights; UsageError for an unknown name."""
    if name not in configurations():
        raise UsageError(
            f'no configuration is named "{name}"', fix=did_you_mean(name, configurations())
        )
    return FOLDER / name
