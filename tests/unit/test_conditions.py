"""What a machine tells while a block is timed: a fake card, a fake /sys, and every way of telling nothing."""

import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.core.timing import Conditions, ForeignProcess
from harness.core.units import Absent
from harness.measure import conditions, nvml
from harness.measure.conditions import CpuWatch, Rapl, watch_conditions
from tests.builders.fake_nvml import FakeCard, install, nvml_error

WORKER, STRANGER = 4242, 777


def watch_block(seconds: float = 0.0) -> Conditions:
    """Return the conditions of a block on the fake card in which nothing is done."""
    with watch_conditions("cuda", [WORKER]) as watch:
        time.sleep(seconds)
    return watch.conditions


def test_a_block_that_is_over_at_once_has_one_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    card = install(monkeypatch, FakeCard(energy=[1_000_000, 1_140_500]))
    seen = watch_block()
    assert card.asked["clock"] == 1
    assert (seen.clock_mhz, seen.memory_clock_mhz, seen.temperature_c, seen.power_w) == (1980, 3201, 41, 512.34)
    assert seen.energy_j == pytest.approx(140.5)
    assert (seen.throttle, seen.foreign_processes, seen.slowed) == ((), (), ())


def test_samples_join_by_mean_maximum_and_union(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "EVERY_S", 0.01)
    stranger = {WORKER: 2**30, STRANGER: 2**20}
    card = FakeCard(
        clock=[1980, 1380], temperature=[80, 88, 80], power=[600_000, 400_000],
        reasons=[0x1 | 0x2, 0x4, 0x40 | 0x20, 0], compute=[{WORKER: 2**30}, stranger, {WORKER: 2**30}],
    )  # fmt: skip
    install(monkeypatch, card)
    seen = watch_block(0.2)
    count = card.asked["clock"]
    assert count > 3
    assert seen.clock_mhz == pytest.approx((1980 + 1380 * (count - 1)) / count)
    assert seen.power_w == pytest.approx((600 + 400 * (count - 1)) / count)
    assert seen.temperature_c == 88
    assert seen.throttle == ("sw_power_cap", "sw_thermal_slowdown", "hw_thermal_slowdown")
    assert seen.slowed == ("sw_thermal_slowdown", "hw_thermal_slowdown")
    assert seen.foreign_processes == (ForeignProcess(pid=STRANGER, name="unknown", used_bytes=2**20),)


@pytest.mark.parametrize(
    ("error", "words"),
    [("LibraryNotFound", "libnvidia-ml"), ("DriverNotLoaded", "driver is not loaded"),
     ("NoPermission", "not permitted"), ("LibRmVersionMismatch", "versions differ"), ("Unknown", "NVML: Unknown")],
)  # fmt: skip
def test_without_nvml_gpu_values_say_why(error: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeCard(init=nvml_error(error)))
    seen = watch_block()
    for name in (
        "clock_mhz",
        "memory_clock_mhz",
        "temperature_c",
        "power_w",
        "throttle",
        "foreign_processes",
        "energy_j",
    ):
        reading = getattr(seen, name)
        assert isinstance(reading, Absent)
        assert words in reading.absent
    assert nvml.find_foreign_processes("cuda", [WORKER]) == seen.foreign_processes


def test_one_counter_may_be_refused_while_others_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals: dict[str, Any] = {
        "power": nvml_error("NotSupported"), "energy": nvml_error("FunctionNotFound"),
        "reasons": nvml_error("NoPermission"), "compute": nvml_error("GpuIsLost"),
    }  # fmt: skip
    install(monkeypatch, FakeCard(**refusals))
    seen = watch_block()
    assert (seen.clock_mhz, seen.temperature_c) == (1980, 41)
    for reading, words in (
        (seen.power_w, "not supported by this card"), (seen.energy_j, "too old"), (seen.throttle, "not permitted"),
        (seen.foreign_processes, "fallen off the bus"),
    ):  # fmt: skip
        assert isinstance(reading, Absent)
        assert words in reading.absent


def test_a_reading_that_fails_once_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "EVERY_S", 0.01)
    install(monkeypatch, FakeCard(clock=[nvml_error("Timeout"), 1500]))
    assert watch_block(0.1).clock_mhz == 1500


def test_mig_slice_has_a_clock_but_no_power(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeCard(), sliced=True)
    seen = watch_block()
    assert (seen.clock_mhz, seen.temperature_c, seen.foreign_processes) == (1980, 41, ())
    assert seen.power_w == seen.energy_j == nvml.SLICE


def test_a_block_that_breaks_stops_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "EVERY_S", 0.01)
    card = install(monkeypatch, FakeCard())
    with pytest.raises(OSError, match="the worker died"), watch_conditions("cuda", [WORKER]):
        raise OSError("the worker died")
    asked = card.asked["clock"]
    time.sleep(0.05)
    assert card.asked["clock"] == asked


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pids are this container's own."""
    link = tmp_path / "pid"
    link.symlink_to("pid:[4026532999]")
    monkeypatch.setattr(nvml, "NAMESPACE", link)


@pytest.fixture
def whole_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pids are those of the whole machine."""
    link = tmp_path / "pid"
    link.symlink_to(nvml.WHOLE_MACHINE)
    monkeypatch.setattr(nvml, "NAMESPACE", link)


@pytest.mark.usefixtures("whole_machine")
def test_a_stranger_is_named_with_its_memory_once(monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.getpid()
    install(monkeypatch, FakeCard(compute={me: 2**20, WORKER: 1}, graphics={me: 2**20, STRANGER: None}))
    stranger, myself = nvml.find_foreign_processes("cuda", [WORKER])  # type: ignore[misc]
    assert (myself.pid, myself.used_bytes) == (me, 2**20)
    assert myself.name == psutil.Process().name()
    assert (stranger.pid, stranger.name) == (STRANGER, "unknown")
    assert isinstance(stranger.used_bytes, Absent)
    assert (myself.graphics_only, stranger.graphics_only) == (False, True)


@pytest.mark.usefixtures("whole_machine")
def test_an_empty_card_has_no_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeCard(compute={}, graphics=nvml_error("NotSupported")))
    assert nvml.find_foreign_processes("cuda", [WORKER]) == ()


@pytest.mark.usefixtures("container")
@pytest.mark.parametrize("listed", [{}, {90_210: 2**30}])
def test_own_process_in_a_container_is_not_foreign(listed: dict[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeCard(compute=listed))
    found = nvml.find_foreign_processes("cuda", [WORKER])
    assert isinstance(found, Absent)
    assert "this container has its own pids" in found.absent
    install(monkeypatch, FakeCard(compute={WORKER: 1, **listed}))
    told = nvml.find_foreign_processes("cuda", [WORKER])
    assert [process.pid for process in told] == list(listed)  # type: ignore[union-attr]


def test_a_cpu_has_no_card_and_its_own_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    with watch_conditions("cpu", [os.getpid()]) as watch:
        pass
    assert watch.conditions.clock_mhz == watch.conditions.foreign_processes == Absent(absent="no GPU")
    assert nvml.find_foreign_processes("cpu", []) == Absent(absent="no GPU")


@pytest.fixture
def cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two cores that we may use of four, with a clock and counters of slowing for heat."""
    for number in range(4):
        core = tmp_path / f"cpu{number}"
        (core / "cpufreq").mkdir(parents=True)
        (core / "thermal_throttle").mkdir()
        (core / "cpufreq/scaling_cur_freq").write_text(f"{(number + 1) * 1_000_000}\n", encoding="utf-8")
        (core / "thermal_throttle/core_throttle_count").write_text("7\n", encoding="utf-8")
        (core / "thermal_throttle/package_throttle_count").write_text("9\n", encoding="utf-8")
    monkeypatch.setattr(conditions, "_allowed", lambda: [1, 2])
    return tmp_path


def test_processors_tell_of_the_cores_that_we_may_use(cores: Path) -> None:
    watch = CpuWatch([], cores)
    for number, count in ((0, 50), (1, 8), (2, 10)):
        (cores / f"cpu{number}/thermal_throttle/core_throttle_count").write_text(str(count), encoding="utf-8")
    (cores / "cpu2/thermal_throttle/package_throttle_count").write_text("11", encoding="utf-8")
    seen = watch.figures()
    assert (seen.cpu_mhz, seen.cpu_throttled) == (3000, (10 - 7) + (11 - 9))


def test_a_machine_without_those_files_says_so(tmp_path: Path) -> None:
    seen = CpuWatch([], tmp_path).figures()
    assert isinstance(seen.cpu_mhz, Absent)
    assert isinstance(seen.cpu_throttled, Absent)
    assert "virtual machine" in seen.cpu_mhz.absent


def test_load_is_what_others_did_of_the_cores_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of 4 s of two cores 3 s were busy, 1 s of them ours: others had half; a process of ours that ended is theirs."""
    times, spent = iter([(100.0, 1000.0), (103.0, 1004.0)]), iter([{1: 50.0, 2: 8.0}, {1: 51.0}])
    monkeypatch.setattr(conditions, "_busy_and_total_s", lambda: next(times))
    monkeypatch.setattr(conditions, "_spent_s", lambda _: next(spent))
    assert CpuWatch([1, 2], tmp_path).figures().cpu_load == 0.5


def test_our_own_work_is_no_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    times, spent = iter([(0.0, 0.0), (0.25, 0.5)]), iter([{1: 0.0}, {1: 0.26}])
    monkeypatch.setattr(conditions, "_busy_and_total_s", lambda: next(times))
    monkeypatch.setattr(conditions, "_spent_s", lambda _: next(spent))
    assert CpuWatch([1], tmp_path).figures().cpu_load == 0


def test_a_sandbox_that_counts_no_time_has_no_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(conditions, "_busy_and_total_s", lambda: (0.0, 0.0))
    assert isinstance(CpuWatch([], tmp_path).figures().cpu_load, Absent)


def test_a_pid_that_is_gone_has_spent_nothing() -> None:
    assert list(conditions._spent_s([os.getpid(), 2**22 + 1])) == [os.getpid()]
    busy_s, total_s = conditions._busy_and_total_s()
    assert 0 < busy_s <= total_s


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages with a core domain inside, the whole platform, and the first package by its other door."""
    zones = {"intel-rapl:0": "package-0", "intel-rapl:1": "package-1", "intel-rapl:0:0": "core", "intel-rapl:2": "psys"}
    for zone, name in {**zones, "intel-rapl-mmio:0": "package-0"}.items():
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(f"{name}\n", encoding="utf-8")
        (tmp_path / zone / "energy_uj").write_text("1000000\n", encoding="utf-8")
        (tmp_path / zone / "max_energy_range_uj").write_text("262143328850\n", encoding="utf-8")
    return tmp_path


def count(powercap: Path, **counted: int) -> None:
    for zone, microjoules in counted.items():
        (powercap / f"intel-rapl:{zone[1:]}" / "energy_uj").write_text(str(microjoules), encoding="utf-8")


def test_package_energy_adds_up_without_its_parts(powercap: Path) -> None:
    rapl = Rapl(powercap)
    (powercap / "intel-rapl-mmio:0" / "energy_uj").write_text("9000000", encoding="utf-8")
    (powercap / "intel-rapl:0:0" / "energy_uj").write_text("9000000", encoding="utf-8")
    count(powercap, z0=3_500_000, z1=1_250_000, z2=9_000_000)
    assert rapl.drawn() == pytest.approx(2.75)


def test_a_counter_that_begins_again_loses_nothing(powercap: Path) -> None:
    count(powercap, z0=262_143_000_000)
    rapl = Rapl(powercap)
    count(powercap, z0=671_150)
    assert rapl.drawn() == pytest.approx((262_143_328_850 - 262_143_000_000 + 671_150) / 1e6)


def test_energy_that_only_root_may_read_is_absent(powercap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_text

    def refuse(path: Path, **named: Any) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return real(path, **named)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert Rapl(powercap).drawn() == Absent(absent="RAPL: only root may read /sys/class/powercap/*/energy_uj")


def test_unusable_energy_counter_is_absent(powercap: Path) -> None:
    rapl = Rapl(powercap)
    (powercap / "intel-rapl:1" / "name").unlink()
    assert rapl.drawn() == Absent(absent="RAPL: other packages than before")
    (powercap / "intel-rapl:0" / "max_energy_range_uj").unlink()
    gone = Rapl(powercap).drawn()
    assert isinstance(gone, Absent)
    assert gone.absent.startswith("RAPL: ")


def test_no_counter_is_said(tmp_path: Path) -> None:
    assert "no RAPL counter" in Rapl(tmp_path / "none").drawn().absent  # type: ignore[union-attr]
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "name").write_text("package-0", encoding="utf-8")
    assert isinstance(Rapl(tmp_path).drawn(), Absent)
