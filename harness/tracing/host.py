"""What the host did: the stage it was in, and what kept it busy while the device had nothing to do."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from harness.core.trace import BETWEEN, REGION, STAGE, STEP
from harness.tracing.parse import Event
from harness.tracing.pieces import Track, innermost
from harness.tracing.work import Seen, Work

CALL = f"{REGION}call"
"""The range around the whole traced call, where there is one."""


class Idle(NamedTuple):
    """A stretch in which the device had nothing to do, and the work before and after it."""

    begin_s: float
    end_s: float
    after: str
    before: str

    @property
    def seconds(self) -> float:
        return self.end_s - self.begin_s


def is_ours(event: Event) -> bool:
    """Return whether a range was put into the trace by harness."""
    return event.name.startswith((STAGE, STEP, REGION))


class Stages:
    """Which stage the host was in, and so to which stage a piece of work belongs."""

    def __init__(self, seen: Seen) -> None:
        self._host = Track(innermost(event for event in seen.ranges if event.name.startswith(STAGE)))
        self._device = Track(innermost(event for event in seen.device_ranges if event.name.startswith(STAGE)))

    def at(self, moment_s: float) -> str:
        return _stage(self._host.at(moment_s))

    def of(self, work: Work) -> str:
        """The stage that launched it; where the launch is not in the trace, the stage that ran on the device."""
        if work.launched_s is not None:
            return self.at(work.launched_s)
        return _stage(self._device.at(work.begin_s))

    def during(self, begin_s: float, end_s: float) -> list[tuple[str, float]]:
        """Return the stages between two moments with their seconds."""
        return [(_stage(event), seconds) for event, seconds in self._host.during(begin_s, end_s)]


def _stage(event: Event | None) -> str:
    return event.name.removeprefix(STAGE) if event else BETWEEN


class Doing:
    """What the host did in some stretches of time, in words."""

    def __init__(self, seen: Seen, stretches: Sequence[Idle]) -> None:
        foreign = (event for event in seen.ranges if not is_ours(event))
        meant = [(stretch.begin_s, stretch.end_s) for stretch in stretches]
        self._track = Track(
            innermost(
                event
                for event in (*seen.operators, *seen.runtime, *foreign)
                if any(event.begin_s < end and event.end_s > begin for begin, end in meant)
            )
        )

    def during(self, begin_s: float, end_s: float) -> str:
        """Return the two things that took longest: `Python 62 %, aten::copy_ 31 %`."""
        shares: defaultdict[str, float] = defaultdict(float)
        for event, seconds in self._track.during(begin_s, end_s):
            shares[event.name if event else "Python"] += seconds / (end_s - begin_s)
        most = sorted(shares.items(), key=lambda pair: -pair[1])[:2]
        return ", ".join(f"{name} {share * 100:.0f} %" for name, share in most if share >= 0.05)
