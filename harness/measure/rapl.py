"""The energy that processors draw, by the counters that Linux shows of RAPL (Intel and AMD)."""

from pathlib import Path

from harness.core.units import Absent

POWERCAP = Path("/sys/class/powercap")


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
        counted = 0
        for package, begin in self._before.items():
            count = after.get(package, begin) - begin
            counted += count if count >= 0 else count + int((package / "max_energy_range_uj").read_text())
        return counted / 1e6

    def _read(self) -> dict[Path, int] | Absent:
        packages = [zone for zone in sorted(self._powercap.glob("*-rapl:*")) if _is_package(zone)]
        if not packages:
            return Absent(absent="no RAPL counter: a virtual machine, or a processor without one")
        try:
            return {package: int((package / "energy_uj").read_text()) for package in packages}
        except PermissionError:  # since CVE-2020-8694: it lets a program guess what another computes
            return Absent(absent="RAPL: only root may read /sys/class/powercap/*/energy_uj")
        except (OSError, ValueError) as error:
            return Absent(absent=f"RAPL: {error}")


def _is_package(zone: Path) -> bool:
    try:
        return (zone / "name").read_text().startswith("package")
    except OSError:
        return False
