"""`harness doctor` says of everything that results can hold whether this machine tells it, and else why not."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli.commands import app
from harness.core.units import Absent
from harness.measure import machine as found_on
from harness.measure import profiler
from harness.measure.machine import list_abilities
from tests.builders.fake_nvml import FakeCard, install, nvml_error


def told() -> dict[str, str | Absent]:
    return {ability.what: ability.found for ability in list_abilities()}


def test_a_card_tells_each_figure_or_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeCard(reasons=0x4, power=nvml_error("NoPermission"), compute={}))
    seen = told()
    assert seen["clock of the GPU (NVML)"] == "1980 MHz"
    assert seen["why the GPU is slowed (NVML)"] == "sw_power_cap"
    refused = seen["power of the GPU (NVML)"]
    assert isinstance(refused, Absent)
    assert "not permitted for this user" in refused.absent
    assert seen["kernels of the GPU in traces (CUPTI)"] == "permitted by the driver"


def test_counters_for_administrators_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, FakeCard())
    level, params = tmp_path / "perf_event_paranoid", tmp_path / "params"
    level.write_text("4\n", encoding="utf-8")
    params.write_text("RmProfilingAdminOnly: 1\n", encoding="utf-8")
    monkeypatch.setattr(found_on, "PARANOID", level)
    monkeypatch.setattr(profiler, "DRIVER", params)
    for user, refused in ((1000, True), (0, False)):
        monkeypatch.setattr(found_on.os, "geteuid", lambda user=user: user)
        seen = told()
        for what in ("counters of the processors (perf)", "kernels of the GPU in traces (CUPTI)"):
            assert isinstance(seen[what], Absent) is refused
    level.unlink()
    assert told()["counters of the processors (perf)"] == Absent(absent="this kernel has no perf")


@pytest.mark.parametrize("asked_as", [[], ["--json"]])
def test_doctor_shows_them_with_the_reason_when_absent(asked_as: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeCard(init=nvml_error("DriverNotLoaded")))
    monkeypatch.setattr(found_on.shutil, "which", {"nsys": "/opt/nsys"}.get)
    shown = CliRunner().invoke(app, ["doctor", *asked_as])
    assert shown.exit_code == 0
    if asked_as:
        tells: dict[str, Any] = json.loads(shown.stdout)["abilities"]
        assert tells["the GPU's counters (NVML)"] == {"absent": "NVML: NVIDIA's driver is not loaded"}
        assert tells["Nsight Systems (nsys)"] == "/opt/nsys"
    else:
        assert "absent: NVML: NVIDIA's driver is not loaded" in " ".join(shown.stdout.split())
