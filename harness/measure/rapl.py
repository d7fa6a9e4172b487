"""The energy that processors draw, by the counters that Linux shows of RAPL (Intel and AMD)."""

from pathlib import Path
from typing import NamedTuple

from harness.core.units import Absent

POWERCAP = Path("/sys/class/powercap")


class _Counter(NamedTuple):
    """What a package has drawn, in microjoules, and what it counts up to."""

    uj: int
    range_uj: int


class Rapl:
    """The packages' energy counters: `drawn()` is what they counted since it was made.

    Only whole packages are read (Linux, Documentation/power/powercap): their parts count again what is in them.
    """

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._powercap = powercap
        self._before = self._read()

    def drawn(self) -> float | Absent:
        """Return joules of all packages; the counters begin again at zero when they are full."""
        after = self._read()
        if isinstance(self._before, Absent):
            return self._before
        if isinstance(after, Absent):
            return after
        if after.keys() != self._before.keys():
            return Absent(absent="RAPL: other packages than before")
        counts = ((after[package], begin) for package, begin in self._before.items())
        return sum(now.uj - begin.uj + (begin.range_uj if now.uj < begin.uj else 0) for now, begin in counts) / 1e6

    def _read(self) -> dict[Path, _Counter] | Absent:
        packages = [zone for zone in sorted(self._powercap.glob("*-rapl:*")) if _is_package(zone)]
        if not packages:
            return Absent(absent="no RAPL counter: a virtual machine, or a processor without one")
        try:
            return {
                package: _Counter(
                    *(
                        int((package / name).read_text(encoding="utf-8"))
                        for name in ("energy_uj", "max_energy_range_uj")
                    )
                )
                for package in packages
            }
        except PermissionError:  # since CVE-2020-8694: it lets a program guess what another computes
            return Absent(absent="RAPL: only root may read /sys/class/powercap/*/energy_uj")
        except (OSError, ValueError) as error:
            return Absent(absent=f"RAPL: {error}")


def _is_package(zone: Path) -> bool:
    try:
        return (zone / "name").read_text(encoding="utf-8").startswith("package")
    except OSError:
        return False
