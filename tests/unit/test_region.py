"""Regions: nested ranges for NVTX, and for whoever records."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.core import trace as regions
from harness.core.trace import STAGE, STEP, begin_region, end_region, recording, region


class Ranges:
    """Stands for the nvtx package and for torch's record_function: writes down what was opened and closed."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def push_range(self, name: str) -> None:
        self.heard.append(f"+{name}")

    def pop_range(self) -> None:
        self.heard.append("-")

    @contextmanager
    def record(self, name: str) -> Iterator[None]:
        self.heard.append(f"+{name}")
        try:
            yield
        finally:
            self.heard.append(f"-{name}")


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> Ranges:
    """What NVTX is told."""
    heard = Ranges()
    monkeypatch.setattr(regions, "_annotators", [])
    regions.annotate_with(heard)
    return heard


def test_nsight_shows_plain_region_names(ranges: Ranges) -> None:
    begin_region("denoiser", STAGE)
    begin_region("7", STEP)
    with region("cascade stage 32x32"):
        pass
    end_region()
    end_region()
    assert ranges.heard == ["+denoiser", "+step 7", "+cascade stage 32x32", "-", "-", "-"]


def test_recorder_gets_prefixed_names_within_its_block() -> None:
    torch = Ranges()
    with region("before"), recording(torch.record):
        begin_region("denoiser", STAGE)
        begin_region("0", STEP)
        end_region()
        end_region()
    with region("after"):
        pass
    names = ["harness.stage:denoiser", "harness.step:0"]
    assert torch.heard == [f"+{names[0]}", f"+{names[1]}", f"-{names[1]}", f"-{names[0]}"]


def test_region_left_open_by_an_error_is_closed() -> None:
    torch = Ranges()
    with pytest.raises(ValueError, match="broken"), recording(torch.record):
        begin_region("denoiser", STAGE)  # as a hook does: after an error its counterpart is not called
        raise ValueError("broken")
    assert torch.heard == ["+harness.stage:denoiser", "-harness.stage:denoiser"]
    end_region()  # nothing is open: nothing happens


def test_a_region_closes_when_its_block_fails(ranges: Ranges) -> None:
    with pytest.raises(ValueError), region("look-up"):
        raise ValueError
    assert ranges.heard == ["+look-up", "-"]


def test_other_threads_are_not_recorded() -> None:
    torch = Ranges()

    def elsewhere() -> None:
        with region("elsewhere"):
            pass

    with recording(torch.record):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert torch.heard == []
