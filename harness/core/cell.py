"""A cell: one setting per axis, in canonical order."""

from harness.core.axis import Setting
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
