"""What the machine's state during blocks warns of, each with its figure and the command that helps."""

from typing import Any

import pytest

from harness.core.timing import UNKNOWN, Block, Conditions, ForeignProcess, Repeat
from harness.execution.warnings import find_condition_warnings

QUIET = {
    "clock_mhz": 1980.0, "memory_clock_mhz": 3201.0, "temperature_c": 60.0, "power_w": 500.0, "throttle": (),
    "foreign_processes": (), "cpu_mhz": 3000.0, "cpu_load": 0.02, "cpu_throttled": 0, "energy_j": 100.0,
}  # fmt: skip


def blocks(*states: dict[str, Any], latency_s: float = 1.0) -> list[Block]:
    """Return a block of each state: what a quiet card says, but for what is given."""
    made = (UNKNOWN.model_copy(update=QUIET | state) for state in states)
    repeat = (Repeat(latency_s=latency_s),)
    return [
        Block(side="cell", round_index=0, begun_s=place, repeats=repeat, conditions=state)
        for place, state in enumerate(made)
    ]


def warned(found: list[Block]) -> dict[str, str]:
    return {caution.kind: f"{caution.message}. {caution.advice}" for caution in find_condition_warnings(found)}


def test_quiet_and_silent_machines_warn_of_nothing() -> None:
    assert not warned(blocks({}, {}))
    assert not warned(
        [Block(side="cell", round_index=0, begun_s=0, repeats=(Repeat(latency_s=1.0),), conditions=UNKNOWN)]
    )
    assert not warned([])


@pytest.mark.parametrize(
    ("states", "kind", "words"),
    [
        (({"throttle": ("hw_thermal_slowdown",), "temperature_c": 89.0, "clock_mhz": 1935.0}, {}), "throttled",
         ("1 of 2 blocks", "hw_thermal_slowdown; up to 89 °C", "nvidia-smi -lgc 1935")),
        (({"cpu_throttled": 3}, {}), "throttled", ("1 of 2 blocks", "cpu_thermal")),
        (({"throttle": ("sw_power_cap",), "power_w": 698.6},), "power-capped", ("1 of 1 blocks", "699 W", "-pl")),
        (({"clock_mhz": 1980.0}, {"clock_mhz": 1500.0}, {}), "clock-drift",
         ("between 1500 and 1980 MHz", "24 %", "-lgc 1500")),
        (({"cpu_mhz": 3000.0}, {"cpu_mhz": 2000.0}), "cpu-clock-drift", ("between 2000 and 3000 MHz", "cpupower")),
        (({"temperature_c": 84.0}, {}), "hot", ("84 °C", "cooling")),
        (({"cpu_load": 0.5}, {}), "busy", ("26 % of the processors", "50 % in the worst", "Close")),
        (({"foreign_processes": (ForeignProcess(pid=77, name="blender", used_bytes=2**30),)}, {}), "foreign-processes",
         ("1 of 2 blocks", "blender (pid 77) with 1 GiB", "nvidia-smi")),
    ],
)  # fmt: skip
def test_each_says_its_figure_and_what_to_do(states: Any, kind: str, words: tuple[str, ...]) -> None:
    said = warned(blocks(*states))
    assert list(said) == [kind]
    for word in words:
        assert word in said[kind]


def test_slowed_gpu_is_not_also_called_hot() -> None:
    said = warned(blocks({"throttle": ("sw_thermal_slowdown",), "temperature_c": 90.0}))
    assert list(said) == ["throttled"]


def test_a_short_busy_block_counts_for_little() -> None:
    assert not warned(blocks({"cpu_load": 0.9}, latency_s=0.01) + blocks({}, latency_s=1.0))


def test_power_cap_does_not_repeat_a_block() -> None:
    def slowed(*words: str, cores: int = 0) -> tuple[str, ...]:
        return Conditions.model_validate(QUIET | {"throttle": words, "cpu_throttled": cores}).slowed

    assert slowed("sw_power_cap", "sync_boost") == UNKNOWN.slowed == ()
    assert slowed("hw_power_brake", "sw_power_cap", cores=2) == ("hw_power_brake", "cpu_thermal")
