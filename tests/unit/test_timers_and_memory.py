"""Peaks against a tensor of known size, on this machine's memory and on a card that is played; both timers."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.core.outcome import NO_MEMORY, Memory, Peak
from harness.core.units import Absent
from harness.measure import clock, memory
from harness.measure.clock import time_block, time_stages
from harness.measure.memory import measure_peaks
from harness.process_memory import reset_resident_peak
from tests.builders.fake_nvml import FakeCard, install, nvml_error

SIZE = 256 * 2**20
MAKE = {
    "numpy": "import numpy\ndef call(): return numpy.ones(SIZE, dtype='uint8').sum()",
    "torch": "import torch\ntorch.set_num_threads(1)\ndef call(): return torch.ones(SIZE, dtype=torch.uint8).any()",
}


@pytest.mark.parametrize("library", MAKE)
def test_peak_of_a_known_size_is_within_two_percent(library: str) -> None:
    """In a process of its own, which held twice as much before: that peak is forgotten."""
    script = f"""
from harness.measure.memory import measure_peaks
SIZE = 2 * {SIZE}
{MAKE[library]}
call()
SIZE = 2**10
call()
SIZE = {SIZE}
found = measure_peaks(call, "cpu")
print(found.model_dump_json())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = Memory.model_validate_json(done.stdout)
    if isinstance(found.resident_bytes, Absent):
        pytest.skip(found.resident_bytes.absent)
    assert isinstance(found.resident_before_bytes, int)
    assert found.resident_bytes - found.resident_before_bytes == pytest.approx(SIZE, rel=0.02)
    assert found.peak() == Peak(count=found.resident_bytes, counter="resident")
    assert found.allocated_bytes == found.reserved_bytes == found.device_used_bytes == Absent(absent="no GPU")


def test_peak_that_cannot_be_reset_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reset_resident_peak(tmp_path) == Absent(absent="no /proc on this system")
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t  524288 kB\n", encoding="utf-8")
    (tmp_path / "clear_refs").mkdir()  # as good as a sandbox that refuses to write
    refused = reset_resident_peak(tmp_path)
    assert isinstance(refused, Absent)
    assert "cannot be reset" in refused.absent
    monkeypatch.setattr(memory, "reset_resident_peak", lambda: refused)
    assert measure_peaks(lambda: None, "cpu").resident_bytes == refused
    (tmp_path / "clear_refs").rmdir()
    (tmp_path / "clear_refs").write_text("", encoding="utf-8")
    assert reset_resident_peak(tmp_path) == 2**29
    assert (tmp_path / "clear_refs").read_text(encoding="utf-8") == "5"
    (tmp_path / "status").write_text("Name:\tpython\n", encoding="utf-8")
    assert reset_resident_peak(tmp_path) == Absent(absent="/proc/self/status has no VmHWM")


class PlayedCuda:
    """torch.cuda as it counts: a call takes memory and keeps it, and a clock moves when an event is recorded."""

    def __init__(self) -> None:
        self.peak, self.made, self.now_ms = 7 * 2**30, 0, 0.0
        self.done: list[str] = []

    def Event(self, enable_timing: bool) -> Any:
        assert enable_timing
        self.made += 1
        event = SimpleNamespace(at=0.0)
        event.record = lambda: setattr(event, "at", self._tick())
        event.elapsed_time = lambda other: other.at - event.at
        return event

    def _tick(self) -> float:
        self.now_ms += 250.0
        return self.now_ms

    def synchronize(self) -> None:
        self.done.append("synchronize")

    def empty_cache(self) -> None:
        self.done.append("empty_cache")

    def reset_peak_memory_stats(self) -> None:
        self.peak = 0

    def max_memory_allocated(self) -> int:
        return self.peak

    def max_memory_reserved(self) -> int:
        return self.peak + 2**20


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> PlayedCuda:
    import torch

    played = PlayedCuda()
    monkeypatch.setattr(torch, "cuda", played)
    monkeypatch.setattr(clock, "_spare", [])
    monkeypatch.setattr(memory.os, "getpid", lambda: 4242)
    return played


def peaks(cuda: PlayedCuda, free_before: int | None = None) -> Memory:
    """Return the peaks of a call that takes 256 MiB of the played card."""
    return measure_peaks(lambda: setattr(cuda, "peak", SIZE), "cuda", free_before)


def test_gpu_peaks_are_of_the_call_and_this_process(cuda: PlayedCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeCard(compute={4242: SIZE + 2**29, 4300: 40 * 2**30}))
    found = peaks(cuda)
    assert (found.allocated_bytes, found.reserved_bytes) == (SIZE, SIZE + 2**20)
    assert found.device_used_bytes == SIZE + 2**29
    assert found.peak() == Peak(count=SIZE + 2**29, counter="used on the device")
    assert "empty_cache" in cuda.done


@pytest.mark.parametrize("compute", [{}, {90_210: 2**34}, {4242: 2**20}, {4242: None}, nvml_error("NoPermission")])
def test_unlisted_process_memory_is_from_free_memory(
    compute: Any, cuda: PlayedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not listed, by a pid of another namespace, as somebody else with that pid, without its bytes, refused."""
    install(monkeypatch, FakeCard(compute=compute, free=100 * 2**30))
    assert peaks(cuda, free_before=100 * 2**30 + SIZE + 2**29).device_used_bytes == SIZE + 2**29
    for before in (None, 100 * 2**30 + 2**20):  # not asked, and others gave memory back meanwhile
        unknown = peaks(cuda, free_before=before).device_used_bytes
        assert isinstance(unknown, Absent)
        assert "the memory of other processes is unknown" in unknown.absent


def test_a_gpu_is_timed_by_its_own_clock_too(cuda: PlayedCuda) -> None:
    with time_block("cuda") as watch:
        cuda.now_ms += 500
    assert watch.device_s == 0.75
    assert cuda.done == ["synchronize"] * 2
    with time_block("cpu") as watch:
        pass
    assert watch.device_s == Absent(absent="no GPU")
    assert watch.seconds > 0


def test_events_are_reused_without_waiting(cuda: PlayedCuda) -> None:
    import torch

    part = torch.nn.Identity()
    for _ in range(3):
        with time_stages({"denoiser": part}, "cuda") as stages:
            part(1)
            part(2)
        assert [call.seconds for call in stages.calls()] == [0.25, 0.25]
        assert stages.calls() == stages.calls()
    assert cuda.made == 4
    assert cuda.done == []


def test_steps_are_numbered_and_parts_named() -> None:
    import torch

    from harness.core.trace import recording

    heard: list[str] = []

    class Range:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> None:
            heard.append(self.name)

        def __exit__(self, *_: object) -> None:
            heard.append("/")

    parts = {"text_encoder": torch.nn.Identity(), "denoiser": torch.nn.Identity()}
    with recording(Range), time_stages(parts, "cpu") as stages:
        parts["text_encoder"](1)
        parts["denoiser"](1)
        parts["denoiser"](1)
    step = ["harness.stage:denoiser", "harness.step:{}", "/", "/"]
    assert heard == ["harness.stage:text_encoder", "/", *(word.format(number) for number in (1, 2) for word in step)]
    assert [call.role for call in stages.calls()] == ["text_encoder", "denoiser", "denoiser"]


def test_a_peak_names_its_counter() -> None:
    by_torch = NO_MEMORY.model_copy(update={"reserved_bytes": 3, "allocated_bytes": 2, "resident_bytes": 9})
    by_driver = by_torch.model_copy(update={"device_used_bytes": 4})
    assert by_driver.peak() == Peak(count=4, counter="used on the device")
    assert by_torch.peak() == Peak(count=3, counter="reserved by torch")
    assert NO_MEMORY.peak() == Absent(absent="not measured")
