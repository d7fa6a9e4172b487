"""What else differs between two runs than their cells: machine, driver, packages, how they were timed."""

from harness.core.machine import Machine
from harness.core.outcome import Completed
from harness.core.plan import Plan
from harness.core.units import Absent
from harness.reporting.conditions import FIGURES

_DECISIVE = 0.03
"""A mean clock, or power, that differs by more than this is worth a word."""
_NAMED = 6
_MEANS = ("clock_mhz", "memory_clock_mhz", "power_w", "cpu_mhz")


def machine_differences(first: Plan, second: Plan) -> tuple[str, ...]:
    """Return what differs between the machines, the software and the measuring of two runs: `driver: 550 ≠ 570`."""
    mine, theirs = _described(first.machine), _described(second.machine)
    found = [f"{name}: {mine[name]} ≠ {theirs[name]}" for name in mine if mine[name] != theirs[name]]
    found += _packages(first.machine, second.machine)
    timed = (first.matrix.measure.model_dump(), second.matrix.measure.model_dump())
    found += [f"measure.{key}: {value} ≠ {timed[1][key]}" for key, value in timed[0].items() if value != timed[1][key]]
    return tuple(found)


def condition_differences(first: Completed, second: Completed) -> tuple[str, ...]:
    """Return how the machine's state differed while one cell was timed in both runs: mean clocks and power."""
    found = []
    names = {field: (name, words) for field, name, words in FIGURES}
    for field in _MEANS:
        mine, theirs = _mean(first, field), _mean(second, field)
        if mine and theirs and abs(theirs / mine - 1) > _DECISIVE:
            name, words = names[field]
            found.append(f"{name}: {words(mine, mine)} ≠ {words(theirs, theirs)}")
    if first.threads != second.threads:
        found.append(f"CPU threads: {first.threads} ≠ {second.threads}")
    return tuple(found)


def _described(machine: Machine) -> dict[str, str]:
    commit = machine.git_commit
    return {
        "machine": machine.name,
        **{name: fact for name, fact in machine.facts.items() if name not in machine.packages},
        "commit": "unknown" if isinstance(commit, Absent) else commit[:12],
    }


def _packages(first: Machine, second: Machine) -> list[str]:
    """Return the packages whose versions differ, the first few by name."""
    mine, theirs = first.packages, second.packages
    differ = [name for name in sorted(mine.keys() | theirs.keys()) if mine.get(name) != theirs.get(name)]
    found = [f"{name}: {mine.get(name, 'absent')} ≠ {theirs.get(name, 'absent')}" for name in differ[:_NAMED]]
    return [*found, f"{len(differ) - _NAMED} more packages"] if len(differ) > _NAMED else found


def _mean(cell: Completed, field: str) -> float | None:
    values = [value for block in cell.pairing.of("cell")
              if not isinstance(value := getattr(block.conditions, field), Absent)]  # fmt: skip
    return sum(values) / len(values) if values else None
