"""A cell: one setting per axis, in canonical order."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from harness.core.axis import Scalar, Setting
from harness.core.base import Frozen


class Cell(Frozen):
    """One combination to measure. Cells with the same `build_key` share a built pipeline."""

    id: str
    settings: tuple[Setting, ...]
    build_key: str
    call_key: str

    def setting(self, axis: str) -> Setting:
        """Return the setting of one axis; KeyError if the cell has none."""
        for setting in self.settings:
            if setting.axis == axis:
                return setting
        raise KeyError(axis)

    @property
    def by_axis(self) -> dict[str, str]:
        """Return axis → value with its options, for tables."""
        return {setting.axis: str(setting) for setting in self.settings}

    def fits(self, where: Mapping[str, Scalar]) -> bool:
        """Return whether every axis named has the value meant: `{precision = "fp8*"}`, a glob on value and options."""
        return not self.misfits(where)

    def misfits(self, where: Mapping[str, Scalar]) -> tuple[str, ...]:
        """Return the axes that have another value than is meant, in the order they are named."""
        found = self.by_axis
        return tuple(axis for axis, value in where.items() if not fnmatchcase(found.get(axis, ""), value_word(value)))


def value_word(value: Scalar) -> str:
    """Return a value as cells spell it: `5.0` is `5`."""
    return f"{value:g}" if isinstance(value, float) else str(value)
